"""Picking tokens: by weight, never what is banned, and with the model's own log-probabilities."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch

from rsagent_ros.policies.local.sampling import Sampling, banned_ids

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, 5.0, 9.0]])
BANNED = banned_ids(6, {4}, known=5, device=torch.device("cpu"))
ALLOWED = torch.softmax(LOGITS[0, :4], dim=0)


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def draws(sampling: Sampling, count: int = 4000) -> torch.Tensor:
    """How often each token comes."""
    tokens, _ = sampling.pick(LOGITS.expand(count, -1), BANNED, seeds(*range(count)))
    return torch.bincount(torch.tensor(tokens), minlength=6) / count


def test_vision_ids_and_ids_without_text_are_banned() -> None:
    assert BANNED.tolist() == [False, False, False, False, True, True]


def test_greedy_takes_the_likeliest_that_is_allowed() -> None:
    assert Sampling().pick(LOGITS, BANNED, seeds(0))[0] == [0]


def test_draws_follow_the_weights() -> None:
    often = draws(Sampling(temperature=1))
    torch.testing.assert_close(often[:4], ALLOWED, atol=0.03, rtol=0)
    assert often[4:].sum() == 0


def test_temperature_flattens_and_sharpens() -> None:
    for temperature in (0.5, 2.0):
        wanted = torch.softmax(LOGITS[0, :4] / temperature, dim=0)
        torch.testing.assert_close(draws(Sampling(temperature))[:4], wanted, atol=0.03, rtol=0)


def test_top_p_keeps_the_likeliest_alone() -> None:
    # 0.644, 0.237, 0.087, 0.032: the second is needed to reach 0.7, the third is not.
    assert draws(Sampling(temperature=1, top_p=0.7)).gt(0).tolist() == [True, True, False, False, False, False]
    assert draws(Sampling(temperature=1, top_p=0.01), 50).gt(0).tolist() == [True] + [False] * 5


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.3), Sampling(1, 0.5)], ids=str)
def test_logprobs_are_the_models_own_whatever_the_sampling(sampling: Sampling) -> None:
    tokens, logprobs = sampling.pick(LOGITS, BANNED, seeds(3))
    assert logprobs == pytest.approx([torch.log_softmax(LOGITS[0], dim=0)[tokens[0]].item()], abs=1e-6)


def test_a_row_draws_the_same_in_any_company() -> None:
    sampling = Sampling(temperature=1)
    logits = torch.randn((3, 50), generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(50, dtype=torch.bool)
    together = [sampling.pick(logits, nothing, group)[0] for group in [seeds(5, 6, 7)] for _ in range(10)]
    alone_ones = seeds(6)
    alone = [sampling.pick(logits[1:2], nothing, alone_ones)[0][0] for _ in range(10)]
    assert [tokens[1] for tokens in together] == alone
    assert len(set(alone)) > 3


def test_half_precision_is_computed_in_full() -> None:
    _, logprobs = Sampling().pick(LOGITS.to(torch.bfloat16), BANNED, seeds(0))
    assert logprobs == pytest.approx([torch.log_softmax(LOGITS[0], dim=0)[0].item()], abs=1e-5)


def test_bad_logits_are_told_by_their_logprob() -> None:
    for sampling in (Sampling(), Sampling(temperature=1)):
        _, logprobs = sampling.pick(torch.full((1, 6), torch.nan), BANNED, seeds(0))
        assert logprobs[0] != logprobs[0]
