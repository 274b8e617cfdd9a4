"""Image data sets: named ones, a folder of pictures, or an npz file; split by seed."""

from trainers.data.config import DataConfig, data_names
from trainers.data.image_data import ImageData
from trainers.data.loading import load_data

__all__ = ["DataConfig", "ImageData", "data_names", "load_data"]
