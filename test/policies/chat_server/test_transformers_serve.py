"""A server that is not ours: `transformers serve`, with a tiny random LLaVA, whose processor needs no torchvision.

The model talks nonsense, so what is proven is the protocol: pictures arrive, replies stream, counts come, it can be
broken off, and a goal ends cleanly whatever is said.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")
pytest.importorskip("torch", reason="`transformers serve` needs torch")
pytest.importorskip("transformers", reason="`transformers serve` needs transformers[serving]")
pytest.importorskip("fastapi", reason="`transformers serve` needs transformers[serving]")
pytest.importorskip("uvicorn", reason="`transformers serve` needs transformers[serving]")

from chat_talk import FOREVER, ask, noise, user
from fakes import FakeSegmenter

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy

pytestmark = pytest.mark.timeout(300)

TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}{{ part['text'] if part['type'] == 'text' else '<image>' }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def make_checkpoint(folder: Path) -> None:
    """A random LLaVA with one token a byte; it never ends a reply by itself."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    torch.manual_seed(0)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    model.train_from_iterator([], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model, eos_token=special[2], pad_token=special[0], additional_special_tokens=special[1:]
    )
    side = {"height": 32, "width": 32}
    LlavaProcessor(
        LlavaImageProcessorPil(size=side, crop_size=side),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    language = LlamaConfig(
        **small, vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=65_536, bos_token_id=None
    )
    llava = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**small, image_size=32, patch_size=16),
            text_config=language,
            image_token_index=3,
            vision_feature_layer=-1,
        )
    )
    llava.generation_config.eos_token_id = None
    llava.save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServerConfig]:
    """The configuration of a policy for the server, which is up."""
    folder = tmp_path_factory.mktemp("serve")
    checkpoint = folder / "llava"
    make_checkpoint(checkpoint)
    (folder / "home" / "hub").mkdir(parents=True)  # it lists what it finds there, and fails where there is none
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(checkpoint)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | quiet, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 240
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield ChatServerConfig(str(checkpoint), f"http://127.0.0.1:{port}/v1", family="qwen3_vl")
    finally:
        process.terminate()
        process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def test_an_episode_with_a_model_that_talks_nonsense_ends_cleanly(served: ChatServerConfig) -> None:
    policy = ChatServerPolicy(served)
    policy.check()
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    episode = Episode(frame, "the red mug", FakeSegmenter(), Budget(seconds=240, max_turns=4, max_reply_tokens=16))
    result = drive(episode, policy)
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TURNS_SPENT)
    assert [turn.stop for turn in episode.trace.turns] == ["length"] * 4
    assert [turn.sampled_tokens for turn in episode.trace.turns] == [16] * 4
    prompts = [turn.prompt_tokens for turn in episode.trace.turns]
    assert prompts == sorted(set(prompts))


def test_every_picture_reaches_the_model(served: ChatServerConfig) -> None:
    conversation = ChatServerPolicy(served).open()
    bare = ask(ChatServerPolicy(served).open(), user("?"), max_tokens=1).prompt_tokens
    one = ask(conversation, user("?", noise()), max_tokens=1).prompt_tokens
    two = ask(ChatServerPolicy(served).open(), user("?", noise(), noise(seed=1)), max_tokens=1).prompt_tokens
    assert (one - bare, two - bare) == (4, 8)  # 32 x 32 pixels in patches of 16


def test_a_reply_is_broken_off_and_the_server_goes_on(served: ChatServerConfig) -> None:
    policy = ChatServerPolicy(served)
    assert ask(policy.open(), max_tokens=60_000, seconds=1.5).stop == "deadline"
    assert ask(policy.open(), max_tokens=2, seconds=FOREVER).stop == "length"
