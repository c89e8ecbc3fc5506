# What every job has; a rule below states only its name, its files, what it takes and what it is told.
rule maze_stage:
    log:
        "<results>/maze/logs/<job>.txt",
    benchmark:
        "<results>/maze/benchmarks/<job>.tsv"
    pathvars:
        job="stage",
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        **needs(MAZE),
        gpu=0,
    params:
        results=results_root,
        files=files,
        gpus=lambda wildcards, resources: granted_gpus(resources.gpu, resources.get("gres")),
    shell:
        "python -m stages --spec {params.spec:q} --gpus {params.gpus} --log {log:q} --results {params.results:q}"
        " {params.files}"


use rule maze_stage as maze_network with:
    threads: CONFIG.maze.threads
    resources:
        **needs(MAZE),
        gpu=1,
