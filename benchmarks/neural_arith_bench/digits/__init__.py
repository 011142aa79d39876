"""Running sums and products over sequences of images of digits."""
