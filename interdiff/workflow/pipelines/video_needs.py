"""What each stage of the video pipeline needs, in closed form from the configuration: shapes, numbers of clips and steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean

from interdiff.learning.settings import BlockwiseTrainingSettings, TrainingSettings
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.sizes import FP32, LEARNING, WanSize
from interdiff.video.distillation.settings import StudentSettings
from interdiff.video.interpolators import sizes as interpolators
from interdiff.video.planner.settings import SELECTED
from interdiff.workflow.pipelines.needs import Need
from interdiff.workflow.pipelines.video_data_needs import READING, DataNeeds

FUSED = 1.25
"""Weights of a network that samples: queries, keys and values are held once more, as one."""
SHOWN, LARGER, LARGEST = 6, 4, 128**2
"""Clips of each method in pictures, pixels there per pixel, and the pixels of a frame that are left of more."""
SEEN_TOGETHER = 20
CLIP = 3e9
"""Bytes of a large CLIP and of the frames that it looks at."""
SMALL_STEP = 0.05
"""Seconds of a step of a small network."""


@dataclass(frozen=True)
class VideoNeeds(DataNeeds):
    """Those of all stages."""

    def backbone(self) -> Need:
        settings, whole = self.own.backbone, self._clip.frames
        tuning = TuningSettings(kind="full", gradient_checkpointing=False)
        first = mean([*settings.frames, whole]) * settings.frames_until + whole * (1 - settings.frames_until)
        return self._tuning(tuning, settings.training, whole, [round(first)])

    def keyframes(self) -> Need:
        settings, counts = self.own.keyframes, self.own.oracle.k
        return self._tuning(settings.tuning, settings.training, max(counts), counts)

    def refiner(self) -> Need:
        """Two draws of each clip."""
        settings, whole = self.own.refiner, self._clip.frames
        return self._tuning(settings.tuning, settings.training, whole, [whole], draws=2)

    def _tuning(
        self,
        tuning: TuningSettings,
        training: BlockwiseTrainingSettings,
        most: int,
        counts: list[int],
        draws: int = 1,
        answers: bool = False,
    ) -> Need:
        """Of a training of the backbone, or of what is made of it, on clips of at most so many frames."""
        wan, shares = replace(self._wan, layers=tuning.layers or self._wan.layers), max(1, self.gpus)
        own = draws * training.batch_size / shares / training.accumulate
        filling = interpolators.flow_bytes(self.own.interpolator.flow, self._clip.height * self._clip.width, most)
        compiled = training.compile != "no"
        each = mean(wan.step_seconds(self._clip, k, tuning.gradient_checkpointing, compiled, self._gpu) for k in counts)
        tokens = round(own * wan.tokens(self._clip, most))
        network = wan.training(tokens, tuning, shares if training.fsdp else 1, answers)
        # What DDP averages gradients in.
        buckets = FP32 * wan.learned(tuning) if shares > 1 and not training.fsdp else 0
        clips = own * (8 * FP32 * self._clip.latents + (filling if draws > 1 else 0))
        # Saved tensors are in memory twice, as they are and as they are written, but in one process alone.
        return Need(
            host=max(self._loading, 2 * wan.state(tuning) / shares) + 6 * training.batch_size * self._clip.stored,
            gpu=network + buckets + clips,
            seconds=training.steps * draws * training.batch_size * each / shares,
        )

    def adapted(self) -> Need:
        """The backbone answers beside what learns."""
        settings, whole = self.own.adapted, self._clip.frames
        need = self._tuning(settings.tuning, settings.training, whole, [whole], answers=True)
        answering = settings.training.batch_size * self._passes(whole, "no", guided=False) / max(1, self.gpus)
        return replace(need, seconds=need.seconds + settings.training.steps * answering)

    def distilled(self) -> Need:
        return self._distillation(self.own.distilled, self._clip.frames, [self._clip.frames])

    def distilled_keyframes(self) -> Need:
        counts = self.own.oracle.k
        return self._distillation(self.own.distilled_keyframes, max(counts), counts)

    def distilled_refiner(self) -> Need:
        return self._distillation(self.own.distilled_refiner, self._clip.frames, [self._clip.frames])

    def _distillation(self, settings: StudentSettings, most: int, counts: list[int]) -> Need:
        """Student and critic take turns beside the teacher, each with an optimizer; five turns take about three trainings."""
        need = self._tuning(settings.tuning, settings.training, most, counts, answers=True)
        if settings.matching_weight:
            shares = max(1, self.gpus) if settings.training.fsdp else 1
            critic = (self._wan.held() + LEARNING * self._wan.learned(settings.tuning)) / shares
            need = replace(need, host=2 * need.host, gpu=need.gpu + critic)
        return replace(need, seconds=3 * need.seconds)

    def preview(self) -> Need:
        settings, frames = self.own.preview, self._clip.frames
        tuning = TuningSettings(kind="full", gradient_checkpointing=False)
        small = self._small()
        tokens = settings.training.batch_size * self._wan.tokens(self._clip, frames)
        step = self._passes(frames, "no", guided=False) + small.step_seconds(
            self._clip, frames, False, False, self._gpu
        )
        return Need(
            host=self._loading,
            gpu=self._wan.held() + max(self._wan.sampling(tokens), small.training(tokens, tuning)),
            seconds=settings.training.steps * settings.training.batch_size * step,
        )

    def _small(self) -> WanSize:
        """The preview."""
        return replace(self._wan, layers=self.own.preview.layers, ffn_dim=self.own.preview.ffn_dim)

    def _looking(self) -> int:
        """Bytes of a look at the noise of some clips."""
        tokens = SEEN_TOGETHER * self._wan.tokens(self._clip, self._clip.frames)
        return self._wan.held() + self._small().held() + self._small().sampling(tokens)

    def generated(self) -> Need:
        settings, frames, guided = self.own.generated, self._clip.frames, self.own.generated.guidance > 1
        return Need(
            host=self._loading + 4 * settings.batch * self._clip.stored,
            gpu=self._sampling(settings.batch, frames, guided),
            seconds=self._per_shard * settings.steps * self._passes(frames, settings.compile, guided),
        )

    def _sampling(self, clips: int, frames: int, guided: bool, waiting: float = 0) -> float:
        """Bytes of a backbone that samples, beside the weights of so many that wait."""
        tokens = (2 if guided else 1) * clips * self._wan.tokens(self._clip, frames)
        return (FUSED + waiting) * self._wan.held() + self._wan.sampling(tokens) + 8 * FP32 * clips * self._clip.latents

    def oracle(self) -> Need:
        settings, clip = self.own.oracle, self._clip
        places = clip.height * clip.width
        segments = 128 if settings.costs == "interpolator" else 0
        filled = clip.frames**3 / 6 if segments else 0
        flops = interpolators.flow_flops(self.own.interpolator.flow, places, 1)
        return Need(
            gpu=segments * interpolators.flow_bytes(self.own.interpolator.flow, places, 1) + 20 * clip.latents,
            seconds=self._learned_clips("shards")
            * (0.02 + clip.stored / READING + interpolators.step_seconds(round(filled * flops), self._gpu)),
        )

    def cost_targets(self) -> Need:
        settings, frames = self.own.segment_cost, self._clip.frames
        return Need(
            host=self._loading,
            gpu=self._sampling(settings.pairs, frames, guided=False),
            seconds=settings.clips * settings.pairs * 2 * self._passes(frames, "no", guided=False),
        )

    def segment_cost(self) -> Need:
        settings = self.own.segment_cost
        kept = settings.clips if settings.targets == "teacher" else 0
        return self._prompts(settings.training, kept)

    def selector(self) -> Need:
        settings = self.own.selector
        count = self._learned_clips(settings.source)
        need = self._prompts(settings.training, count if settings.labels == "segment_cost" else 0)
        if not settings.preview:
            return need
        look = self._small().seconds(self._clip, self._clip.frames, False, self._gpu)
        return replace(
            need,
            host=max(need.host, self._loading),
            gpu=max(need.gpu, self._looking()),
            seconds=need.seconds + count * look,
        )

    def _prompts(self, training: TrainingSettings, kept: int) -> Need:
        """Of a training of a small network on prompts, of which so many are held."""
        embeddings = FP32 * self._clip.embedding * (kept + 4 * training.batch_size)
        step = max(SMALL_STEP, self._reading(training, 2 * self._clip.embedding))
        return Need(host=1.5 * embeddings, gpu=embeddings, seconds=training.steps * step)

    def anchors(self) -> Need:
        settings, guided = self.own.anchors, self.own.anchors.guidance > 1
        steps = len(settings.policies) * settings.steps
        return Need(
            host=self._loading + 6 * settings.batch * self._clip.stored,
            gpu=self._sampling(settings.batch, settings.k, guided, waiting=1 + self.own.keyframes.adapted),
            seconds=self._per_shard * steps * self._passes(settings.k, settings.compile, guided),
        )

    # Evaluation

    def samples(self) -> Need:
        settings, frames = self.own.sampling, self._clip.frames
        guided, clips = (
            settings.guidance > 1,
            min(settings.clips, self._per_shard * self.config.data.shard_count("test")),
        )
        host = self._loading + 3 * FP32 * clips * (self._clip.latents + self._clip.embedding)
        if settings.method != "two_phase":
            seconds = settings.steps * self._passes(frames, settings.compile, guided)
            gpu = self._sampling(settings.batch, frames, guided, waiting=FUSED if settings.adapted else 0)
            return Need(host, gpu, clips * seconds)
        most = max(settings.counts)
        phases = (most, guided), (frames, False)
        looking = settings.selector == SELECTED and self.own.selector.preview
        each = [
            settings.steps * self._passes(most, settings.compile, guided),
            settings.refiner_steps * self._passes(frames, settings.compile, guided=False),
            self._small().seconds(self._clip, frames, False, self._gpu) if looking else 0,
        ]
        adapted = self.own.keyframes.adapted or self.own.refiner.adapted
        waiting = 1 + FUSED + adapted
        gpu = max(self._sampling(settings.batch, count, twice, waiting) for count, twice in phases)
        return Need(host, gpu + (self._small().held() if looking else 0), clips * sum(each))

    def other_noise(self) -> Need:
        return self.samples()

    def adherence(self) -> Need:
        clips = self.own.sampling.clips
        return Need(
            host=10 * self._clip.video,
            gpu=self._codec() + 3 * FP32 * self._clip.video,
            seconds=clips * (1 + self._codec_seconds()),
        )

    def content(self) -> Need:
        seen, looks = self.adherence(), 0.01 * (1 + 4 * (self._clip.frames - 1))
        return Need(seen.host + CLIP, seen.gpu + CLIP, seen.seconds + looks * self.own.sampling.clips)

    def faithfulness(self) -> Need:
        """Two networks' answers at five levels, and the scores of a block of tokens with all."""
        settings, frames = self.own.sampling, self._clip.frames
        block = self.own.adapted.tuning.attention.block
        scores = 3 * FP32 * settings.batch * self._wan.heads * block * self._wan.tokens(self._clip, frames)
        clips = min(settings.clips, self._per_shard * self.config.data.shard_count("test"))
        return Need(
            host=self._loading,
            gpu=self._sampling(settings.batch, frames, guided=False, waiting=1) + scores,
            seconds=clips * 2 * 5 * self._passes(frames, "no", guided=False),
        )

    def profile(self) -> Need:
        """Some training steps of phase 2, one draw of each clip."""
        settings, whole = self.own.refiner, self._clip.frames
        clips = self.own.profiled_clips
        training = settings.training.model_copy(update={"steps": 4 * 6, "batch_size": clips, "accumulate": 1})
        need = self._tuning(settings.tuning, training, whole, [whole])
        codec = self._codec() + 3 * FP32 * self._clip.video
        return replace(need, gpu=max(need.gpu, self._wan.held() + codec), seconds=need.seconds + 600)

    def metrics(self) -> Need:
        """Two methods' clips as they are stored, and what is computed of one."""
        return Need(host=self._clip.latents * (2 * 2 * self.own.sampling.clips + 8 * FP32), seconds=600)

    tuning = attention = milestone = metrics

    def selection(self) -> Need:
        held_out = self.config.data.shard_count("test") * self._per_shard
        embeddings = FP32 * self._clip.embedding * held_out
        resolved = self.config.resolved()
        looks = any(resolved.section("selector", name)["preview"] for name in self.config.report.selectors)
        return Need(
            host=2 * embeddings + (self._loading if looks else 0),
            gpu=embeddings + (self._looking() if looks else 0),
            seconds=600,
        )

    def interpolation_pictures(self) -> Need:
        clips = 3 * (1 + len(self.config.report.interpolators)) + 2
        return Need(
            host=LARGER * clips * self._clip.video,
            gpu=self._codec() + 3 * FP32 * self._clip.video,
            seconds=clips * (10 + self._codec_seconds()),
        )

    def sample_pictures(self) -> Need:
        clips = SHOWN * (1 + len(self.config.report.methods))
        return Need(
            host=(1 + 1.5 * LARGER) * clips * self._clip.video * min(1, LARGEST / self._clip.pixels)
            + 10 * self._clip.video
            + 2 * self._clip.latents * self.own.sampling.clips,
            gpu=self._codec() + 3 * FP32 * self._clip.video,
            seconds=clips * (10 + self._codec_seconds()),
        )
