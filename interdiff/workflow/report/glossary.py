"""What the columns of a report's tables mean, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

LESS, MORE = "less", "more"


class Term(NamedTuple):
    """A column: its meaning, with its unit, and which way is better, if either is."""

    meaning: str
    better: str = ""


SHARED = {
    "variant": Term("named changes of the settings"),
    "layout": Term("maze, or family of mazes"),
    "seed": Term("seed of sampling"),
    "n": Term("samples behind the row"),
    "k": Term("keyframes K, both ends among them"),
    "seeds": Term("training seeds that the row is over"),
    "params_m": Term("parameters of all networks, in millions", LESS),
    "plan_ms": Term("median time of one plan, ms", LESS),
    "rule": Term("rule of the workflow"),
    "jobs": Term("jobs of the rule"),
    "job_seconds": Term("wall time of all jobs, s", LESS),
    "job_cpu_seconds": Term("CPU time of all jobs, s", LESS),
    "job_peak_memory_mb": Term("largest memory of a job, MiB", LESS),
    "artifact": Term("folder below the results root"),
    "used by": Term("variants that use the artifact"),
    "identity": Term("digest of settings, code, packages and inputs, or of the files"),
    "spec": Term("digest of settings, code and packages"),
}
MAZE = SHARED | {
    "collision_interp": Term("share of the pieces between points that leave free space, before phase 2", LESS),
    "collision_refined": Term("the same after phase 2", LESS),
    "crossed_interp": Term("share of plans with any such piece, before phase 2", LESS),
    "crossed_refined": Term("the same after phase 2", LESS),
    "mse_interp": Term("mean squared distance from the demonstration before phase 2, squared cells", LESS),
    "mse_refined": Term("the same after phase 2", LESS),
    "mse_oracle_interp": Term("mse_interp with the demonstration's own points as keyframes", LESS),
    "mse_oracle_refined": Term("mse_refined with the demonstration's own points as keyframes", LESS),
    "fixed": Term("of plans that collide before phase 2, the share that is free of it after", MORE),
    "broken": Term("share of plans in which phase 2 makes a piece collide that did not before", LESS),
    "cost_ratio": Term("summed cost of the chosen keyframes over that of the best ones", LESS),
    "nfe": Term("arithmetic of one plan, in passes of the refiner over all points", LESS),
    "selector": Term("cost_ratio of the selector's keyframes", LESS),
    "dphi": Term("cost_ratio of the best keyframes by the costs that D_phi predicts", LESS),
    "uniform": Term("cost_ratio of equally spaced keyframes", LESS),
    "random": Term("cost_ratio of random keyframes", LESS),
    "limit": Term("estimated cost_ratio of the best choice that sees the map, start and goal alone", LESS),
    "selector_excess": Term("what the selector's keyframes cost beyond the best, over what uniform's do", LESS),
    "dphi_excess": Term("the same of D_phi's", LESS),
    "limit_excess": Term("the same of limit's", LESS),
    "planner": Term("who drives; name/tracker: with another tracker; name_retimed: as fast as the motors allow"),
    "task": Term("single: D4RL's goal; multi: random goals; heldout: maps never trained on"),
    "return_mean": Term("mean reward of an episode: steps at the goal", MORE),
    "score": Term("D4RL's normalised score, on its maps", MORE),
    "success": Term("share of episodes that touch the goal", MORE),
    "first_reach": Term("first step at the goal, mean of the episodes that touch it", LESS),
    "token_evals": Term("tokens through all networks per plan", LESS),
    "family": Term("family of random mazes"),
    "mazes": Term("mazes of the family"),
    "crossed": Term("share of plans that leave free space", LESS),
    "policy": Term("who chooses keyframes, and by which tolerance; or a planner that has none"),
    "mean_k": Term("mean number of keyframes"),
    "collision": Term("share of the pieces between points that leave free space", LESS),
    "ablation": Term("what the variants change"),
    "number": Term("of the plan in samples.npz"),
    "pieces": Term("of the refined plan that leave free space", LESS),
    "mse": Term("mean squared distance of refined plans from the demonstration, squared cells", LESS),
    "reason": Term("why the plan is bad"),
    "mse_difference": Term("mean paired difference of mse from base", LESS),
    "crossed_difference": Term("mean paired difference of crossed from base", LESS),
    "collision_difference": Term("mean paired difference of collision from base", LESS),
}
VIDEO = SHARED | {
    "method": Term("who makes the clips, or fills their frames; teacher_N: the backbone on all frames in N steps"),
    "changed": Term("what differs from the first method"),
    "chosen": Term("the least frechet of those whose adherence is within a standard error of the best, of each kind"),
    "steps": Term("denoising steps"),
    "passes": Term("passes of phase 2"),
    "attention": Term("dense, or the kind of sparse attention"),
    "diversity": Term("root mean squared difference of two clips of one prompt and different noise", MORE),
    "frechet": Term(
        "Frechet distance from real clips, on principal components of what is where, what moves, how sharp and how lively"
        " latents are",
        LESS,
    ),
    "adherence": Term("share of what prompts ask for that a tracker finds in decoded frames", MORE),
    "objects": Term("adherence of what is there at all", MORE),
    "shapes": Term("adherence of shapes; a guess among those that are found is right in 0.33", MORE),
    "directions": Term("adherence of directions; a guess is right in 0.25", MORE),
    "speeds": Term("adherence of speeds; a guess is right in 0.5", MORE),
    "events": Term("adherence of events and of where turns lead; a guess is right in 0.22", MORE),
    "times": Term("adherence of when events happen; a guess is right in 0.33", MORE),
    "easy": Term("adherence for prompts of one object", MORE),
    "hard": Term("adherence for prompts of three objects, of which two or more do something", MORE),
    "clip_score": Term("mean cosine of frames and prompt, by a CLIP", MORE),
    "smoothness": Term("Wasserstein distance from real clips' smoothness in time", LESS),
    "sharpness": Term("Wasserstein distance from real clips' sharpness in space", LESS),
    "distance": Term("root mean squared distance from the exact sample of the same noise", LESS),
    "full_step_units": Term(
        "arithmetic of a clip, in passes of the backbone over all frames; guidance counts two, look and interpolator are"
        " included",
        LESS,
    ),
    "full_step_seconds": Term("time of a clip, in the same unit", LESS),
    "flops": Term("floating-point operations of a clip", LESS),
    "seconds": Term("time of a clip, s", LESS),
    "selector": Term("who chooses keyframes; fixed: one schedule for all; oracle: the best of each clip"),
    "clips": Term("shards: rendered ones; generated: the backbone's own, whose noise may be looked at"),
    "overlap": Term("share of the keyframes that are among the best", MORE),
    "overlap_int": Term("the same of those between the ends", MORE),
    "cost_ratio": Term("summed exact cost of the chosen keyframes over that of the best ones", LESS),
    "unique_sequences": Term("different choices"),
    "same_prompt": Term("share of keyframes that the best of two clips of one prompt have in common"),
    "other_prompt": Term("the same of clips of different prompts"),
    "kind": Term("of attention: dense, or sparse blocks and a linear rest"),
    "feature_map": Term("of the linear rest"),
    "keep": Term("share of the key blocks that each query block attends to"),
    "adapted": Term("whether the backbone learned to answer as it does with dense attention"),
    "reuse": Term("steps of sampling that one choice of key blocks serves"),
    "frames": Term("latent frames of a clip"),
    "velocity_error": Term("relative error of the velocity, beside the dense backbone's", LESS),
    "mass": Term("share of dense attention that the chosen blocks hold", MORE),
    "gap": Term("latent frames from one known frame to the next"),
    "latent_l1": Term("mean absolute error of latents", LESS),
    "psnr": Term("of decoded frames against the decoded truth, dB", MORE),
    "ssim": Term("structural similarity of the same", MORE),
    "uncertainty_corr": Term("Pearson's correlation of expected and true errors over all places", MORE),
    "calibration": Term("mean expected error over the mean true one; 1 is best"),
    "latent_l1_vs_reference": Term("relative change of latent_l1 beside the reference on the same frames", LESS),
    "psnr_vs_reference": Term("difference of psnr from the reference's on the same frames, dB", MORE),
    "worst": Term("largest growth of a clip's squared error beside the reference's", LESS),
    "ms_per_frame": Term("median time per missing frame, ms", LESS),
    "share": Term(
        "arithmetic of filling a clip of Wan's size at 4 known frames, over that of a step of Wan2.1-1.3B", LESS
    ),
}


def more_is_better(figure: str) -> bool:
    """Which way a figure of either domain should go."""
    return (MAZE | VIDEO)[figure].better == MORE


def glossary(terms: Mapping[str, Term], columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """A row for each of the columns: what it means and which way is better."""
    for column in dict.fromkeys(columns):
        yield {"column": column, "meaning": terms[column].meaning, "better": terms[column].better}
