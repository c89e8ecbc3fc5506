"""A teacher in one folder: the backbone in bf16, the codec that its latents are of, and the digests of both."""

import shutil

from interdiff.files import atomic_path
from interdiff.learning.checkpoints import CONFIG, MODEL, write_in_bf16, write_sums
from interdiff.settings import NoSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage


def main(stage: Stage) -> None:
    """Reads the files of a `backbone` and of a `codec`; writes `sums`, and copies of them as files of the same names."""
    for network in ("backbone", "codec"):
        for source in stage.inputs[network]:
            target = stage.outputs["sums"].parent / ("codec" if network == "codec" else "") / source.name
            if (network, source.name) == ("backbone", MODEL):
                write_in_bf16(source, target)
                continue
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
    copies = [path for name, path in stage.outputs.items() if name != "sums"]
    write_sums(stage.outputs["sums"], sorted(path for path in copies if path.name in (MODEL, CONFIG)))


if __name__ == "__main__":
    run_stage(main, NoSettings)
