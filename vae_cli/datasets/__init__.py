"""Data sets: configured as a Dataset, loaded as Data, visited through a BatchLoader."""

from vae_cli.datasets.array_dataset import Array
from vae_cli.datasets.data import Data
from vae_cli.datasets.dataset import Dataset
from vae_cli.datasets.digits import Digits
from vae_cli.datasets.idx import KMNIST, MNIST, FashionMNIST
from vae_cli.datasets.image_folder import ImageFolder
from vae_cli.datasets.images import ImageFiles
from vae_cli.datasets.items import HuggingFace, TorchDataset
from vae_cli.datasets.loader import BatchLoader
from vae_cli.datasets.omniglot import Omniglot
from vae_cli.datasets.shapes import Shapes
from vae_cli.datasets.split import Factors, Split
from vae_cli.datasets.synthetic import GaussianMixture, LinearGaussian, TwoPoints
from vae_cli.datasets.table_dataset import Table
from vae_cli.datasets.torchvision_dataset import Torchvision
from vae_cli.datasets.torchvision_images import CIFAR10, SVHN

__all__ = [
    "CIFAR10",
    "KMNIST",
    "MNIST",
    "SVHN",
    "Array",
    "BatchLoader",
    "Data",
    "Dataset",
    "Digits",
    "Factors",
    "FashionMNIST",
    "GaussianMixture",
    "HuggingFace",
    "ImageFiles",
    "ImageFolder",
    "LinearGaussian",
    "Omniglot",
    "Shapes",
    "Split",
    "Table",
    "TorchDataset",
    "Torchvision",
    "TwoPoints",
]
