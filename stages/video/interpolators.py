"""results/video/interpolators.csv: all interpolators on the same frames, by gap, beside one of them."""

from interdiff.files import load_arrays, read_json, write_csv
from interdiff.video.evaluation.interpolation import table_rows
from interdiff.workflow.pipelines.video_stages import InterpolatorsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = (
    "method", "split", "gap", "n", "latent_l1", "latent_mse", "psnr", "ssim", "uncertainty_corr", "params_m", "ms_per_frame",
    "wan_step_share", "calibration", "latent_l1_se", "latent_mse_se", "psnr_se", "ssim_se", "uncertainty_corr_se",
    "calibration_se", "latent_l1_vs_reference", "latent_l1_vs_reference_se", "psnr_vs_reference", "psnr_vs_reference_se",
    "ssim_vs_reference", "ssim_vs_reference_se", "worst_vs_reference",
)  # fmt: skip


def main(stage: Stage) -> None:
    """Reads `figures` and `costs` of each method, in their order; writes the table."""
    settings: InterpolatorsStageSettings = stage.settings
    figures = dict(zip(settings.methods, map(load_arrays, stage.inputs["figures"]), strict=True))
    costs = dict(zip(settings.methods, map(read_json, stage.inputs["costs"]), strict=True))
    rows = [
        row | {"split": settings.split} | costs[method]
        for method in settings.methods
        for row in table_rows(method, figures[method], figures[settings.reference])
    ]
    write_csv(stage.outputs["interpolators"], rows, COLUMNS)


if __name__ == "__main__":
    run_stage(main, InterpolatorsStageSettings)
