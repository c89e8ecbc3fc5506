use rule maze_stage as video_stage with:
    log:
        "<results>/video/logs/<job>.txt",
    benchmark:
        "<results>/video/benchmarks/<job>.tsv"
    conda:
        "../../envs/video.yaml"
    resources:
        **needs(VIDEO),
        gpu=0,


use rule video_stage as video_network with:
    threads: CONFIG.video.threads
    resources:
        **needs(VIDEO),
        gpu=1,
