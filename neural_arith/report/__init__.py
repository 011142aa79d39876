"""One page that tells the whole story of a discovery."""

from neural_arith.report.page import write_report
from neural_arith.report.pictures import draw_pictures, save_picture

__all__ = ["draw_pictures", "save_picture", "write_report"]
