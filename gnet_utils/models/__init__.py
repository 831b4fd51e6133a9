"""The networks of the course, small parts first."""

from gnet_utils.models.googlenet import (
    AuxiliaryClassifier,
    FashionGoogLeNet,
    GoogLeNet,
    GoogLeNetOutput,
)
from gnet_utils.models.inception import GOOGLENET_BLOCKS, BlockWidths, Inception, NaiveInception
from gnet_utils.models.layers import ConvUnit, initialise, separable_conv
from gnet_utils.models.residual import BasicBlock, FashionResNet
