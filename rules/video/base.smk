use rule maze_stage as video_stage with:
    log:
        "<results>/video/logs/<job>.txt",
    benchmark:
        "<results>/video/benchmarks/<job>.tsv"
    conda:
        "../../envs/video.yaml"


use rule video_stage as video_network with:
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",


use rule video_network as video_training with:
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="24h",
