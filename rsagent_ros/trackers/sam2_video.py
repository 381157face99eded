"""SAM 2.1 video tracking, and EdgeTAM's: a Tracker for machines with a GPU, through transformers.

    tracker = open_sam2_tracker(Sam2Config("models/sam2.1-hiera-large"))    # a folder that `rsagent models fetch` made
    track = tracker.start(frame, mask, stamp_ns)

The network's memory is the first frame with its mask, kept for good, and its own answers for the last frames, of which
only as many are kept as it attends to. A mask whose area jumped is not remembered. Pixels are prepared and masks
resized here, without torchvision.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.evidence import stability
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.checkpoint import AGAIN, check_weights, read_config, unusable
from rsagent_ros.devices import is_full
from rsagent_ros.segmenters.pixel_file import IMAGENET, read_input_format
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import place
from rsagent_ros.segmenters.sam2_tensors import InputFormat, to_masks, to_pixels
from rsagent_ros.segmenters.transformers_sam2 import load_model
from rsagent_ros.trackers.lost import AreaGuard, LostLimits, lost_sentence
from rsagent_ros.trackers.tracker import LostReason, TrackedMask, check_start, check_step

_Answer = TypeVar("_Answer")

_ARCHITECTURES = ("sam2_video", "edgetam_video")
_OBJECT = 1
_BORDER = 2


class Sam2VideoTracker:
    """Tracker over one network. Thread-safe: the steps of all its tracks wait for one another."""

    def __init__(
        self, model: Any, input_format: InputFormat, config: Sam2Config, name: str, limits: LostLimits
    ) -> None:
        """Place the model, a Sam2VideoModel or EdgeTamVideoModel, on its device.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: there is no such device. OUT_OF_MEMORY: it is full.
        """
        self.device, self.dtype = place(model, model.vision_encoder, config)
        self.model = model
        self.input_format = input_format
        self.limits = limits
        self._name = name
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Architecture and checkpoint."""
        return self._name

    def start(self, frame: NDArray[np.uint8], mask: Mask, stamp_ns: int) -> Sam2VideoTrack:
        """Begin; see `Tracker.start`.

        Raises:
            ValueError: As in `Tracker.start`.
            RunFailed: OUT_OF_MEMORY.
        """
        check_start(frame, mask)
        return Sam2VideoTrack(self, frame, mask, stamp_ns)

    def warm_up(self) -> None:
        """Track a grey square over two frames, so that faults show and kernels are compiled before the first goal.

        Raises:
            RunFailed: OUT_OF_MEMORY.
        """
        picture = np.full((48, 64, 3), 128, dtype=np.uint8)
        mask = np.zeros((48, 64), dtype=np.bool_)
        mask[16:32, 24:40] = True
        track = self.start(picture, mask, 0)
        track.step(picture, 1)
        track.close()

    def run(self, work: Callable[[], _Answer]) -> _Answer:
        """Run one step under the lock, in the network's floating-point type.

        Raises:
            RunFailed: OUT_OF_MEMORY, after unused memory was freed and the step tried once more.
        """
        half = self.dtype is not torch.float32
        with self._lock, torch.inference_mode(), torch.autocast(self.device.type, dtype=self.dtype, enabled=half):
            for _ in range(2):
                try:
                    return work()
                except (RuntimeError, MemoryError) as error:
                    if not is_full(error):
                        raise
                # Not in `except`: inside it the error's traceback would still hold the tensors that did not fit.
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        raise RunFailed(
            ErrorCode.OUT_OF_MEMORY,
            f"{self.name}: the memory of {self.device} is full; stop a track, or use a smaller checkpoint",
        )


class Sam2VideoTrack:
    """One tracked object. Its memory is bounded: the first frame, and the network's window of recent ones."""

    def __init__(self, tracker: Sam2VideoTracker, frame: NDArray[np.uint8], mask: Mask, stamp_ns: int) -> None:
        self._tracker = tracker
        self._size = frame.shape[0], frame.shape[1]
        self._stamp = stamp_ns
        self._index = 0
        self._area = AreaGuard(float(np.count_nonzero(mask)), tracker.limits)
        self._last_mask = mask.copy()
        self._session: Any = Sam2VideoInferenceSession(
            video_height=self._size[0],
            video_width=self._size[1],
            inference_device=tracker.device,
            inference_state_device=tracker.device,
            video_storage_device=tracker.device,
            dtype=torch.float32,
        )
        tracker.run(lambda: self._begin(frame, mask))

    def step(self, frame: NDArray[np.uint8], stamp_ns: int) -> TrackedMask:
        """Find the object in a newer frame; see `Track.step`.

        Raises:
            ValueError: As in `Track.step`.
            RunFailed: OUT_OF_MEMORY; the next step may work again.
        """
        if self._session is None:
            raise ValueError("the track is closed; start a new one")
        check_step(frame, stamp_ns, self._size, self._stamp)
        logits, appears = self._tracker.run(lambda: self._ask(frame))
        self._stamp = stamp_ns
        answer = self._answer(logits, appears)
        if answer.lost_reason is LostReason.AREA_JUMP:
            self._session.output_dict_per_obj[0]["non_cond_frame_outputs"].pop(self._index - 1, None)
        return answer

    def close(self) -> None:
        """Free the track's memory. May be called twice."""
        self._session = None

    @property
    def nbytes(self) -> int:
        """Size of all tensors that the track holds, bytes."""
        return sum(tensor.nbytes for tensor in _tensors(vars(self._session))) if self._session is not None else 0

    def _begin(self, frame: NDArray[np.uint8], mask: Mask) -> None:
        tracker = self._tracker
        session = self._session
        given = torch.from_numpy(mask.copy()).to(tracker.device)[None, None].float()
        side = (tracker.input_format.image_size, tracker.input_format.image_size)
        if given.shape[-2:] != side:
            given = F.interpolate(given, size=side, mode="bilinear", align_corners=False, antialias=True)
            # An object of a pixel or two must not vanish.
            given = (given >= min(0.5, float(given.max()))).float()
        session.add_mask_inputs(session.obj_id_to_idx(_OBJECT), 0, given)
        session.obj_with_new_inputs = [_OBJECT]
        self._ask(frame)

    def _ask(self, frame: NDArray[np.uint8]) -> tuple[torch.Tensor, float]:
        """Logits (1, h, w) of the newest frame, and the probability that the object is in it, 0..1."""
        tracker = self._tracker
        session = self._session
        # A failed step may have left its frame and features under the index of this frame; the network would use them.
        if session.processed_frames is not None:
            session.processed_frames.clear()
        session.cache.clear_all()
        pixels = to_pixels(frame, tracker.input_format, tracker.device)
        answer = tracker.model(session, frame=pixels, frame_idx=self._index)
        self._forget()
        self._index += 1
        appears = float(torch.sigmoid(answer.object_score_logits.float()).max())
        return answer.pred_masks[:, 0].float(), appears

    def _forget(self) -> None:
        """Drop what the network will not attend to again: transformers' session keeps every frame and every answer."""
        session = self._session
        settings = self._tracker.model.config
        session.processed_frames.clear()
        session.cache.clear_all()
        session.frames_tracked_per_obj[0].clear()
        session.mask_inputs_per_obj[0].clear()
        outputs = session.output_dict_per_obj[0]
        recent = outputs["non_cond_frame_outputs"]
        for number in list(recent):
            age = self._index + 1 - number
            if age >= settings.max_object_pointers_in_encoder and age >= settings.num_maskmem:
                del recent[number]
            elif age >= settings.num_maskmem:  # of the older ones only the pointers are used
                recent[number].pop("maskmem_features", None)
                recent[number].pop("maskmem_pos_enc", None)
        for output in (*outputs["cond_frame_outputs"].values(), *recent.values()):
            output.pop("high_res_masks", None)
            output.pop("pred_masks", None)

    def _answer(self, logits: torch.Tensor, appears: float) -> TrackedMask:
        limits = self._tracker.limits
        if not (bool(torch.isfinite(logits).all()) and np.isfinite(appears)):
            return self._not_visible(LostReason.LOW_SCORE, 0.0, limits.min_score)
        mask = to_masks(logits, self._size)[0]
        if appears < 0.5 or not mask.any():
            # The network says that it is not there; its last mask says whether it left the view or is hidden.
            if _at_border(self._last_mask):
                return self._not_visible(LostReason.LEFT_VIEW, 0.0, limits.min_in_view)
            return self._not_visible(LostReason.HIDDEN, 0.0, limits.min_visible)
        score = appears * stability(logits[0].cpu().numpy())
        if score < limits.min_score:
            return self._not_visible(LostReason.LOW_SCORE, score, limits.min_score)
        area = float(np.count_nonzero(mask))
        if not self._area.trusts(area):
            return self._lost(LostReason.AREA_JUMP, self._area.factor(area), limits.max_area_ratio)
        self._last_mask = mask
        return TrackedMask(self._stamp, mask.copy(), score, False)

    def _not_visible(self, reason: LostReason, figure: float, limit: float) -> TrackedMask:
        self._area.not_visible()
        return self._lost(reason, figure, limit)

    def _lost(self, reason: LostReason, figure: float, limit: float) -> TrackedMask:
        """The answer for a frame without a trusted mask."""
        empty = np.zeros(self._size, np.bool_)
        score = figure if reason is LostReason.LOW_SCORE else 0.0
        return TrackedMask(self._stamp, empty, score, True, reason, lost_sentence(reason, figure, limit))


def open_sam2_tracker(config: Sam2Config, limits: LostLimits | None = None) -> Sam2VideoTracker:
    """Load a tracker from a folder; blocks while it loads, and downloads nothing.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the checkpoint or the device can't be used; one sentence says why. OUT_OF_MEMORY.
    """
    folder = Path(config.checkpoint).expanduser()
    config_json = read_config(folder)
    if config_json["model_type"] not in _ARCHITECTURES:
        raise unusable(
            f"{folder / 'config.json'} is of a {config_json['model_type']!r}, which has no memory for video",
            f"name a folder with one of {', '.join(_ARCHITECTURES)}, such as sam2.1-hiera-large",
        )
    check_weights(folder)
    try:
        described = AutoConfig.from_pretrained(folder, local_files_only=True)
        model = load_model(AutoModel, folder, described)
    except ImportError as error:
        remedy = (
            "in the checkout: pip install -e '.[models]'; EdgeTAM also needs timm, and a torchvision built for the "
            "same torch"
        )
        raise unusable(f"{folder} can't be loaded here ({describe(error)})", remedy) from error
    except RunFailed:
        raise
    except Exception as error:  # configurations, torch and transformers each have errors of their own for nonsense
        raise unusable(
            f"{folder / 'config.json'} describes no {config_json['model_type']} ({describe(error)})", AGAIN
        ) from error
    encoder = model.prompt_encoder
    expected = read_input_format(folder, encoder.input_image_size, encoder.mask_input_size[0], IMAGENET)
    name = f"{config_json['model_type']}:{folder.resolve().name}"
    return Sam2VideoTracker(model, expected, config, name, LostLimits() if limits is None else limits)


def _at_border(mask: Mask) -> bool:
    """Whether a mask reaches the picture's border."""
    rim = np.ones(mask.shape, np.bool_)
    rim[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return bool((mask & rim).any())


def _tensors(held: Any) -> list[torch.Tensor]:
    """All tensors in dictionaries and lists."""
    if isinstance(held, torch.Tensor):
        return [held]
    parts = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]
