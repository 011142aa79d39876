"""One page that tells the whole story of a discovery."""

from neural_arith.report.files import whole_file
from neural_arith.report.page import write_report
from neural_arith.report.pictures import draw_pictures

__all__ = ["draw_pictures", "whole_file", "write_report"]
