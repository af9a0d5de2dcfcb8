"""Image networks from what was learnt before: all layers, and the head where labels agree."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from export.networks.cnn import ResNet, ResNetConfig
from export.networks.kinds import ImageKind
from export.networks.mlp import Mlp, MlpConfig
from export.transfer.errors import TransferError
from export.transfer.source import Checkpoint, Published, Source, require

STEM = ("whitening.weight", "whitening.bias")


def start_image_network(
    source: Source, labels: Sequence[str], kind: ImageKind | None, side: int
) -> ResNet | Mlp:
    """A network of the source's kind and sizes that knows what the source knows.

    With other labels the head is new. `kind` is what the user asked for, if anything; `side` the
    height and width of the pictures. Raises TransferError.
    """
    weights = _weights(source)
    network = _shaped(source.title, weights, len(labels), side)
    found = "mlp" if isinstance(network, Mlp) else "resnet"
    if kind is not None and kind != found:
        raise TransferError(
            f"{source.title} is of the kind {found}: give --network {found}, or none at all"
        )
    same = _knows(source, weights, labels)
    taken = {name: v for name, v in weights.items() if same or not name.startswith("head.")}
    try:
        missing, odd = network.load_state_dict(taken, strict=False)
    except RuntimeError as error:
        raise TransferError(f"{source.title} is for pictures of another size") from error
    if odd or any(not _may_be_new(name) for name in missing):
        raise TransferError(f"{source.title} holds weights of another network")
    return network


def teaching_image_network(source: Source, labels: Sequence[str], side: int) -> ResNet | Mlp:
    """A network that knows what the source knows of these very labels. Raises TransferError."""
    if not _knows(source, _weights(source), labels):
        raise TransferError(
            f"{source.title} tells other classes apart: a teacher has those of its student, "
            f"in the same order"
        )
    return start_image_network(source, labels, None, side)


@torch.no_grad()
def settle_norms(network: nn.Module, x_NCHW: Tensor) -> None:
    """Give every batch norm the mean and spread that its input has on these images.

    A published graph has its norms folded away. The network computes what it did before, and goes
    on to do so when training takes the statistics of each batch.
    """

    def settle(norm: nn.BatchNorm2d, given: tuple[Tensor, ...]) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        mean, spread = given[0].mean((0, 2, 3)), given[0].var((0, 2, 3), unbiased=False)
        norm.bias += (mean - norm.running_mean) * scale
        norm.weight.copy_(scale * (spread + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(spread)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [norm.register_forward_pre_hook(settle) for norm in norms]
    network.eval()(x_NCHW)
    for handle in handles:
        handle.remove()


def _knows(source: Source, weights: Mapping[str, Tensor], labels: Sequence[str]) -> bool:
    """Whether its classes are these; a checkpoint tells only how many it has."""
    if isinstance(source, Published):
        return source.manifest.labels == tuple(labels)
    return len(weights["head.weight"]) == len(labels)


def _may_be_new(name: str) -> bool:
    """The head; a bias of zeros, which the converter leaves out; what a folded norm no longer
    tells, which starts as one that changes nothing; and the padding, which older ones lack."""
    starts, ends = name.startswith(("head.", "padding")), name.endswith(".bias")
    return starts or ends or ".norm." in name or ".2." in name


def _shaped(title: str, weights: Mapping[str, Tensor], classes: int, side: int) -> ResNet | Mlp:
    """A new network of the sizes that the shapes of the weights tell."""
    if STEM[0] in weights:
        firsts = [weights[n] for n in sorted(weights) if _is_first_of_stage(n)]
        depths = tuple(
            len(
                {n.split(".")[2] for n in weights if n.startswith(f"stages.{s}.") and ".conv." in n}
            )
            for s in range(len(firsts))
        )
        widths = tuple(len(first) for first in firsts)
        kernel, padding = weights[STEM[0]].shape[2], int(weights.get("padding", torch.tensor(0)))
        return ResNet(ResNetConfig(classes, widths, depths, kernel, padding))
    layers = [w for n, w in weights.items() if n.startswith("features.") and n.endswith("weight")]
    if not layers or any(layer.ndim != 2 for layer in layers):
        raise TransferError(f"{title} holds no image network")
    return Mlp(MlpConfig(classes, side, side, widths=tuple(len(layer) for layer in layers)))


def _is_first_of_stage(name: str) -> bool:
    return name.startswith("stages.") and name.endswith(".0.weight")


def _weights(source: Source) -> dict[str, Tensor]:
    """By the names that the network has for them."""
    if isinstance(source, Checkpoint):
        if "head.weight" not in source.weights:
            raise TransferError(f"{source.title} holds no image network")
        return dict(source.weights)
    (head,) = require(source, "head.weight")
    if "head.bias" in source.constants:
        return {n: v for n, v in source.constants.items() if n.startswith(("features.", "head."))}
    return _unfolded(source) | {"head.weight": head / ResNetConfig.logit_scale}


def _unfolded(source: Published) -> dict[str, Tensor]:
    """The folded convolutions under the names of convolution and norm."""
    weights = dict(zip(STEM, _layer(source, "features.0"), strict=True))
    weights["padding"] = source.constants.get("features.0.pads", torch.zeros(1)).long()[0]
    layers = sorted(
        {tuple(name.split(".")[1:-1]) for name in source.constants if name.startswith("features.")},
        key=lambda path: int(path[0]),
    )
    stage, place = -1, 0
    for path in layers[1:]:
        weight, bias = _layer(source, ".".join(("features", *path)))
        if len(path) == 1:
            stage, place = stage + 1, 3
            convolution, norm = f"stages.{stage}.0", f"stages.{stage}.2"
        else:
            place += 1
            convolution, norm = (f"stages.{stage}.{place}.{part}" for part in ("conv", "norm"))
        weights[f"{convolution}.weight"], weights[f"{norm}.bias"] = weight, bias
        eps = nn.BatchNorm2d(1).eps
        weights[f"{norm}.running_var"] = torch.full_like(bias, 1 - eps)
    return weights


def _layer(source: Published, path: str) -> tuple[Tensor, Tensor]:
    """Weight and bias; the converter leaves a bias of zeros out."""
    (weight,) = require(source, f"{path}.weight")
    return weight, source.constants.get(f"{path}.bias", torch.zeros(len(weight)))
