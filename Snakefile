from interdiff.workflow.config import load_config
from interdiff.workflow.locks import claim_results
from interdiff.workflow.tracking.connection import configure
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


CONFIG = load_config(config)
configure(**CONFIG.tracking.model_dump(), results=CONFIG.results)


pathvars:
    results=CONFIG.results,


wildcard_constraints:
    layout="|".join(CONFIG.maze.layouts),
    split="train|val|test",


include: "rules/common.smk"
include: "rules/maze_inputs.smk"
include: "rules/maze.smk"
include: "rules/video_inputs.smk"
include: "rules/video.smk"


localrules:
    all,


# Neither dry runs nor the jobs themselves come here.
onstart:
    claim_results(CONFIG.results)


rule all:
    default_target: True
    input:
        rules.maze.input,
