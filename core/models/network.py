"""The network: a timm backbone whose logits are a sum of evidence, from picture and patient's facts.

    logit_c = b_c + mean over positions of (w_c . A) + age_c(a) + sex_c(s) + site_c(l)

A fact that is unknown adds nothing, so one checkpoint answers with or without facts, and changing a fact
needs no second look at the picture.
"""

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from core.data.facts import FACTS, SEXES, SITES
from core.labels import CODES
from core.libraries import timm
from core.models.evidence import HEADS, SOURCES, ImageEvidence
from core.models.registry import MODELS, ModelSpec

AGE_KNOTS_YEARS: Final = tuple(range(0, 91, 10))
_KNOT_STEP: Final = 10.0


class FactTables(nn.Module):
    """One table a fact: seven logits for each value, interpolated between knots for age."""

    def __init__(self) -> None:
        super().__init__()
        rows = {"age": len(AGE_KNOTS_YEARS), "sex": len(SEXES), "site": len(SITES)}
        self.tables = nn.ParameterDict(
            {fact: nn.Parameter(torch.zeros(rows[fact], len(CODES))) for fact in FACTS}
        )

    def terms(self, facts: Tensor) -> dict[str, Tensor]:
        """Return what each fact adds to each logit, shape (N, 7); zero where it is unknown.

        facts: shape (N, 3) as made by `core.data.facts.encode_facts`, NaN is unknown.
        """
        age, sex, site = facts.unbind(dim=1)
        return {
            "age": _hat_weights(age) @ self.tables["age"],
            "sex": _one_hot(sex, len(SEXES)) @ self.tables["sex"],
            "site": _one_hot(site, len(SITES)) @ self.tables["site"],
        }

    def forward(self, facts: Tensor) -> Tensor:
        """Return the sum of all facts' terms, shape (N, 7)."""
        terms = self.terms(facts)
        return terms["age"] + terms["sex"] + terms["site"]


def _hat_weights(age: Tensor) -> Tensor:
    """Linear interpolation between the knots as weights (N, knots); all zero for NaN."""
    knots = torch.tensor(AGE_KNOTS_YEARS, dtype=age.dtype, device=age.device)
    clamped = age.nan_to_num(0.0).clamp(knots[0], knots[-1])
    weights = (1 - (clamped[:, None] - knots).abs() / _KNOT_STEP).clamp_min(0)
    return weights * age.isfinite()[:, None]


def _one_hot(index: Tensor, size: int) -> Tensor:
    known = index.isfinite()
    codes = nn.functional.one_hot(index.nan_to_num(0.0).long(), size)
    return codes.to(index.dtype) * known[:, None]


class AdditiveNetwork(nn.Module):
    """A backbone and fact tables. `forward` gives logits; `look` gives the same logits taken apart."""

    def __init__(self, spec: ModelSpec, backbone: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.backbone: Any = backbone  # timm's networks have more methods than nn.Module
        self.facts = FactTables()
        self._frozen: list[nn.Module] = []

    def forward(self, pixels: Tensor, facts: Tensor | None = None) -> Tensor:
        """Return logits (N, 7) for pixels (N, 3, H, W) and facts (N, 3); no facts means all unknown."""
        logits = self.backbone(pixels)
        return logits if facts is None else logits + self.facts(facts)

    def look(self, pixels: Tensor) -> ImageEvidence:
        """Return the picture's logits as bias, maps and remainder, from one pass."""
        return SOURCES[self.spec.evidence](self.backbone, pixels)

    def from_features(self, features: Tensor) -> Tensor:
        """Return logits (N, 7) for pooled features (N, K), as `look` gives them."""
        return HEADS[self.spec.evidence](self.backbone, features)

    def count_parameters(self) -> int:
        """Return how many weights the backbone and the fact tables have."""
        return sum(one.numel() for one in self.parameters())

    def start_head(self, prior: np.ndarray) -> None:
        """Begin with a head that answers the prior: small weights, bias log(prior).

        prior: the share of each diagnosis the network will be trained on, shape (7,).
        """
        head = self.backbone.get_classifier()
        nn.init.trunc_normal_(head.weight, std=0.01)
        with torch.no_grad():
            head.bias.copy_(torch.from_numpy(np.log(prior)))

    def shift_prior(self, shift: np.ndarray) -> None:
        """Add to the bias, shape (7,): log(new share / old share) makes the answers fit another mix."""
        with torch.no_grad():
            self.backbone.get_classifier().bias += torch.from_numpy(shift).float()

    def freeze_stages(self, count: int) -> None:
        """Freeze the first `count` groups of timm's coarse layer groups, the stem being the first.

        Frozen batch norms keep their running statistics, in training too.
        """
        groups = timm.models.group_parameters(self.backbone, self.backbone.group_matcher(coarse=True))
        frozen = {name for layer, names in groups.items() if layer < count for name in names}
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name not in frozen)
        self._frozen = [
            module
            for module in self.backbone.modules()
            if (own := list(module.parameters())) and not any(one.requires_grad for one in own)
        ]
        self.train(self.training)

    def train(self, mode: bool = True) -> "AdditiveNetwork":
        """As in torch, but frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


def build_network(name: str, **timm_args: Any) -> AdditiveNetwork:
    """Return an untrained network by its name in MODELS."""
    spec = MODELS[name]
    return AdditiveNetwork(spec, create_backbone(spec, **timm_args))


def create_backbone(spec: ModelSpec, **timm_args: Any) -> nn.Module:
    """Return timm's network with a head for the seven diagnoses."""
    return timm.create_model(spec.timm_name, num_classes=len(CODES), **{**spec.timm_args, **timm_args})
