"""The words of the framework: products, images, masks, checks, and what plugin functions are given."""

from cpp_framework.model.check import Check, CheckExample, Level, Limit, Outcome, Status, Verdict
from cpp_framework.model.context import Context, Frames, Limits, ResidualFrame, VerifyContext
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.geometry import Box, Section
from cpp_framework.model.header import Header, InputRecord, NeedRecord
from cpp_framework.model.image import AmplifierRecord, AmplifierView, Image, oriented
from cpp_framework.model.mask import UNUSABLE, Mask
from cpp_framework.model.measurement import Measurement
from cpp_framework.model.product import (
    AmplifierResult,
    AmplifierStatus,
    ImageProduct,
    MatrixProduct,
    Product,
    RegionProduct,
    TableProduct,
)
from cpp_framework.model.quantity import Measured

__all__ = [
    "UNUSABLE",
    "Amplifier",
    "AmplifierRecord",
    "AmplifierResult",
    "AmplifierStatus",
    "AmplifierView",
    "Box",
    "Check",
    "CheckExample",
    "Context",
    "Detector",
    "Exposure",
    "Frames",
    "Header",
    "Image",
    "ImageProduct",
    "InputRecord",
    "Level",
    "Limit",
    "Limits",
    "Mask",
    "MatrixProduct",
    "Measured",
    "Measurement",
    "NeedRecord",
    "Outcome",
    "Product",
    "RegionProduct",
    "ResidualFrame",
    "Section",
    "Status",
    "TableProduct",
    "Verdict",
    "VerifyContext",
    "oriented",
]
