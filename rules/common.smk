from interdiff.workflow.identity import spec

MAZE, VIDEO = CONFIG.maze.resolved(), CONFIG.video.resolved()
VARIANTS = {"maze": MAZE, "video": VIDEO}
WEIGHTS = ("model.safetensors", "config.json")


def results_root(wildcards):
    """Params function: the root folder of all results."""
    return CONFIG.results


def maze_spec(stage, threads=CONFIG.maze.threads):
    """Params function: the identity text of a stage in the variant of the wildcards."""
    return lambda wildcards: stage_spec(stage, MAZE.section(stage, wildcards.variant), threads)


def video_spec(stage, threads=CONFIG.video.threads):
    """Params function: the same of a stage of the video pipeline."""
    return lambda wildcards: stage_spec(
        stage, VIDEO.section(stage, wildcards.variant), threads, domain="video"
    )


def stage_spec(stage, settings, threads=1, sources=(), domain="maze"):
    return spec(
        f"{domain}.{stage}",
        settings,
        root=workflow.basedir,
        threads=threads,
        sources=sources,
    )


def memory(megabytes):
    """Resource function: memory that grows with each attempt of a job."""
    return lambda wildcards, attempt: megabytes * attempt


def artifact(stage, variant, domain="maze"):
    """The folder, below the results root, of what a variant uses of a stage."""
    folder = {"prepare": "prepared"}.get(stage, stage)
    return f"{domain}/{folder}/{VARIANTS[domain].owner(stage, variant)}"


def variant_files(stage, variant, *names, domain="maze"):
    """Files of what a variant uses of a stage."""
    return [f"{CONFIG.results}/{artifact(stage, variant, domain)}/{name}" for name in names]


def maze(stage, *names, domain="maze"):
    """Input function: files of a stage, from the variant that owns them."""
    return lambda wildcards: [
        path.format(**wildcards) for path in variant_files(stage, wildcards.variant, *names, domain=domain)
    ]


def video(stage, *names):
    """Input function: the same of the video pipeline."""
    return maze(stage, *names, domain="video")


def checkpoint_of(stage):
    """Input function: what it takes to rebuild a stage's network."""
    return maze(stage, *WEIGHTS)


def owners(stage, domain="maze"):
    """Wildcard constraint: the variants that have files of their own for a stage."""
    variants = VARIANTS[domain]
    return "|".join(name for name in variants.settings if variants.owner(stage, name) == name)
