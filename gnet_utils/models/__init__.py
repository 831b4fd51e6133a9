"""The networks of the course, small parts first."""

from gnet_utils.models.googlenet import (
    AuxiliaryClassifier,
    FashionGoogLeNet,
    GoogLeNet,
    GoogLeNetOutput,
)
from gnet_utils.models.inception import GOOGLENET_BLOCKS, BlockWidths, Inception, NaiveInception
from gnet_utils.models.layers import conv_unit, initialise

__all__ = [
    "GOOGLENET_BLOCKS",
    "AuxiliaryClassifier",
    "BlockWidths",
    "FashionGoogLeNet",
    "GoogLeNet",
    "GoogLeNetOutput",
    "Inception",
    "NaiveInception",
    "conv_unit",
    "initialise",
]
