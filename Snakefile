from interdiff.workflow.engine.adoption import adopt
from interdiff.workflow.engine.failures import show_errors_first
from interdiff.workflow.config import load_config
from interdiff.workflow.locks import claim_results
from interdiff.workflow.tracking.connection import configure
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


show_errors_first()
CONFIG = load_config(config)
configure(**CONFIG.tracking.model_dump(), results=CONFIG.results)
adopt(CONFIG.results, workflow)


pathvars:
    results=CONFIG.results,


wildcard_constraints:
    layout="|".join(CONFIG.maze.layouts),
    split="train|val|test",


include: "rules/common.smk"
include: "rules/maze/inputs.smk"
include: "rules/video/inputs.smk"
include: "rules/maze/base.smk"
include: "rules/maze/world.smk"
include: "rules/maze/planner.smk"
include: "rules/maze/baselines.smk"
include: "rules/maze/evaluation.smk"
include: "rules/maze/report.smk"
include: "rules/video/base.smk"
include: "rules/video/data.smk"
include: "rules/video/interpolators.smk"
include: "rules/video/planner.smk"
include: "rules/video/evaluation.smk"
include: "rules/video/report.smk"


localrules:
    all,
    maze,
    metrics,
    gallery,
    curves,
    variants,
    rollouts,
    report,
    video,
    interpolators,
    video_report,


# Neither dry runs nor the jobs themselves come here.
onstart:
    claim_results(CONFIG.results)


rule all:
    default_target: True
    input:
        rules.maze.input,
