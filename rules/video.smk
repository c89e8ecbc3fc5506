localrules:
    video,
    interpolators,
    interpolator_ablations,
    video_report,


rule video:
    input:
        metrics="<results>/video/metrics.csv",
        selection="<results>/video/selection.csv",
        interpolators="<results>/video/interpolators.csv",
        report="<results>/video/report.html",


rule video_codec:
    output:
        model="<results>/video/codec/model.safetensors",
        config="<results>/video/codec/config.json",
        run="<results>/video/codec/run.json",
        history="<results>/video/codec/history.csv",
        metrics="<results>/video/codec/metrics.json",
    log:
        "<results>/video/logs/codec.txt",
    benchmark:
        "<results>/video/benchmarks/codec.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=video_codec_spec,
        results=results_root,
    shell:
        "python -m stages.video.codec --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q} metrics={output.metrics:q}"


rule clips:
    input:
        codec=codec_files,
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    log:
        "<results>/video/logs/clips/{split}.{number}.txt",
    benchmark:
        "<results>/video/benchmarks/clips/{split}.{number}.tsv"
    wildcard_constraints:
        number=from_source("clips"),
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=clips_spec,
        results=results_root,
    shell:
        "python -m stages.video.clips --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in codec={input.codec:q}"
        " --out shard={output.shard:q}"


rule download:
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    log:
        "<results>/video/logs/download/{split}.{number}.txt",
    benchmark:
        "<results>/video/benchmarks/download/{split}.{number}.tsv"
    wildcard_constraints:
        number=from_source("hub"),
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="4h",
    params:
        spec=download_spec,
        results=results_root,
    shell:
        "python -m stages.video.download --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --out shard={output.shard:q}"


rule lsmdc:
    input:
        annotations=annotations,
        codec=codec_files,
    output:
        shard="<results>/video/shards/{split}/{number}.tar",
    log:
        "<results>/video/logs/lsmdc/{split}.{number}.txt",
    benchmark:
        "<results>/video/benchmarks/lsmdc/{split}.{number}.tsv"
    wildcard_constraints:
        number=from_source("lsmdc"),
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=lsmdc_spec,
        results=results_root,
    shell:
        "python -m stages.video.lsmdc --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in annotations={input.annotations:q} codec={input.codec:q}"
        " --out shard={output.shard:q}"


rule video_index:
    input:
        shards=lambda wildcards: shards("shards", wildcards.split),
    output:
        index="<results>/video/index/{split}.npz",
    log:
        "<results>/video/logs/index/{split}.txt",
    benchmark:
        "<results>/video/benchmarks/index/{split}.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("index", {}, domain="video"),
        results=results_root,
    shell:
        "python -m stages.video.index --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in shards={input.shards:q}"
        " --out index={output.index:q}"


rule optical_flow:
    input:
        index="<results>/video/index/{split}.npz",
        codec=codec_files,
    output:
        shard="<results>/video/optical_flow/{split}/{number}.tar",
    log:
        "<results>/video/logs/optical_flow/{split}.{number}.txt",
    benchmark:
        "<results>/video/benchmarks/optical_flow/{split}.{number}.tsv"
    wildcard_constraints:
        number=r"\d{5}",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=optical_flow_spec,
        results=results_root,
    shell:
        "python -m stages.video.optical_flow --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} codec={input.codec:q}"
        " --out shard={output.shard:q}"


rule optical_flow_index:
    input:
        shards=lambda wildcards: shards("optical_flow", wildcards.split),
    output:
        index="<results>/video/index/optical_flow_{split}.npz",
    log:
        "<results>/video/logs/index/optical_flow_{split}.txt",
    benchmark:
        "<results>/video/benchmarks/index/optical_flow_{split}.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec(
            "optical_flow_index", {"partial": CONFIG.video.optical_flow.partial}, domain="video"
        ),
        results=results_root,
    shell:
        "python -m stages.video.optical_flow_index --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in shards={input.shards:q}"
        " --out index={output.index:q}"


rule straightener:
    input:
        index="<results>/video/index/train.npz",
    output:
        model="<results>/video/straightener/{variant}/model.safetensors",
        config="<results>/video/straightener/{variant}/config.json",
        run="<results>/video/straightener/{variant}/run.json",
        history="<results>/video/straightener/{variant}/history.csv",
    log:
        "<results>/video/logs/straightener/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/straightener/{variant}.tsv"
    wildcard_constraints:
        variant=owners("straightener", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=video_spec("straightener"),
        results=results_root,
    shell:
        "python -m stages.video.straightener --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule interpolator:
    input:
        index="<results>/video/index/train.npz",
        straightener=straightener_checkpoint,
        optical_flow=optical_flow_index,
    output:
        model="<results>/video/interpolator/{variant}/model.safetensors",
        config="<results>/video/interpolator/{variant}/config.json",
        run="<results>/video/interpolator/{variant}/run.json",
        history="<results>/video/interpolator/{variant}/history.csv",
    log:
        "<results>/video/logs/interpolator/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/interpolator/{variant}.tsv"
    wildcard_constraints:
        variant=owners("interpolator", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=video_spec("interpolator"),
        results=results_root,
    shell:
        "python -m stages.video.interpolator --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} straightener={input.straightener:q} optical_flow={input.optical_flow:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule interpolation:
    input:
        index=held_out_index(),
        codec=codec_files,
        interpolator=video("interpolator", *WEIGHTS),
    output:
        figures="<results>/video/interpolation/{variant}/figures.npz",
        costs="<results>/video/interpolation/{variant}/costs.json",
    log:
        "<results>/video/logs/interpolation/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/interpolation/{variant}.tsv"
    wildcard_constraints:
        variant=owners("interpolation", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=interpolation_spec,
        results=results_root,
    shell:
        "python -m stages.video.interpolation --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} codec={input.codec:q} interpolator={input.interpolator:q}"
        " --out figures={output.figures:q} costs={output.costs:q}"


rule optical_flow_interpolation:
    input:
        index=held_out_index(),
        codec=codec_files,
        optical_flow=held_out_index("optical_flow_"),
    output:
        figures="<results>/video/interpolation/optical_flow/figures.npz",
        costs="<results>/video/interpolation/optical_flow/costs.json",
    log:
        "<results>/video/logs/interpolation/optical_flow.txt",
    benchmark:
        "<results>/video/benchmarks/interpolation/optical_flow.tsv"
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=interpolation_spec,
        results=results_root,
    shell:
        "python -m stages.video.interpolation --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} codec={input.codec:q} optical_flow={input.optical_flow:q}"
        " --out figures={output.figures:q} costs={output.costs:q}"


rule interpolators:
    input:
        figures=interpolation_files(CONFIG.video.report.interpolators, "figures.npz"),
        costs=interpolation_files(CONFIG.video.report.interpolators, "costs.json"),
    output:
        interpolators="<results>/video/interpolators.csv",
    log:
        "<results>/video/logs/interpolators.txt",
    benchmark:
        "<results>/video/benchmarks/interpolators.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=interpolators_spec(CONFIG.video.report.interpolators),
        results=results_root,
    shell:
        "python -m stages.video.interpolators --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in figures={input.figures:q} costs={input.costs:q}"
        " --out interpolators={output.interpolators:q}"


rule interpolator_ablations:
    input:
        figures=interpolation_files(ablated_interpolators(), "figures.npz"),
        costs=interpolation_files(ablated_interpolators(), "costs.json"),
    output:
        interpolators="<results>/video/interpolator_ablations.csv",
    log:
        "<results>/video/logs/interpolator_ablations.txt",
    benchmark:
        "<results>/video/benchmarks/interpolator_ablations.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=interpolators_spec(ablated_interpolators()),
        results=results_root,
    shell:
        "python -m stages.video.interpolators --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in figures={input.figures:q} costs={input.costs:q}"
        " --out interpolators={output.interpolators:q}"


rule interpolation_pictures:
    input:
        index=held_out_index(),
        codec=codec_files,
        figures=interpolation_files(CONFIG.video.report.interpolators, "figures.npz"),
        interpolators=reported_interpolators(*WEIGHTS),
        histories=list(trained_networks().values()),
    output:
        errors="<results>/video/interpolation/errors.png",
        best="<results>/video/interpolation/best.png",
        median="<results>/video/interpolation/median.png",
        worst="<results>/video/interpolation/worst.png",
        fields="<results>/video/interpolation/fields.png",
        curves="<results>/video/interpolation/curves.png",
    log:
        "<results>/video/logs/interpolation_pictures.txt",
    benchmark:
        "<results>/video/benchmarks/interpolation_pictures.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=interpolation_pictures_spec,
        results=results_root,
    shell:
        "python -m stages.video.interpolation_pictures --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} codec={input.codec:q} figures={input.figures:q} interpolators={input.interpolators:q} histories={input.histories:q}"
        " --out errors={output.errors:q} best={output.best:q} median={output.median:q} worst={output.worst:q} fields={output.fields:q} curves={output.curves:q}"


rule video_report:
    input:
        samples=samples_report(),
        selection=["<results>/video/selection.csv", "<results>/video/samples/frames.png"],
        interpolators=interpolator_report(),
        ablations=interpolator_ablations_report(),
    output:
        report="<results>/video/report.html",
    log:
        "<results>/video/logs/report.txt",
    benchmark:
        "<results>/video/benchmarks/report.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("report", {}, domain="video"),
        results=results_root,
    shell:
        "python -m stages.video.report --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in samples={input.samples:q} selection={input.selection:q}"
        " interpolators={input.interpolators:q} ablations={input.ablations:q}"
        " --out report={output.report:q}"


rule negative:
    output:
        negative="<results>/video/negative.npz",
    log:
        "<results>/video/logs/negative.txt",
    benchmark:
        "<results>/video/benchmarks/negative.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=negative_spec,
        results=results_root,
    shell:
        "python -m stages.video.negative --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --out negative={output.negative:q}"


rule backbone:
    input:
        index="<results>/video/index/train.npz",
        negative="<results>/video/negative.npz",
    output:
        model="<results>/video/backbone/{variant}/model.safetensors",
        config="<results>/video/backbone/{variant}/config.json",
        run="<results>/video/backbone/{variant}/run.json",
        history="<results>/video/backbone/{variant}/history.csv",
    log:
        "<results>/video/logs/backbone/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/backbone/{variant}.tsv"
    wildcard_constraints:
        variant=owners("backbone", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.backbone_threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="24h",
    params:
        spec=video_spec("backbone", threads=CONFIG.video.backbone_threads),
        results=results_root,
    shell:
        "python -m stages.video.backbone --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} negative={input.negative:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule generated:
    input:
        index="<results>/video/index/{split}.npz",
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
    output:
        shard="<results>/video/generated/{variant}/{split}/{number}.tar",
    log:
        "<results>/video/logs/generated/{variant}.{split}.{number}.txt",
    benchmark:
        "<results>/video/benchmarks/generated/{variant}.{split}.{number}.tsv"
    wildcard_constraints:
        variant=owners("generated", "video"),
        number=r"\d{5}",
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="24h",
    params:
        spec=generated_spec,
        results=results_root,
    shell:
        "python -m stages.video.generated --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} backbone={input.backbone:q} negative={input.negative:q}"
        " --out shard={output.shard:q}"


rule generated_index:
    input:
        shards=generated_shards,
    output:
        index="<results>/video/generated/{variant}/{split}.npz",
    log:
        "<results>/video/logs/generated_index/{variant}.{split}.txt",
    benchmark:
        "<results>/video/benchmarks/generated_index/{variant}.{split}.tsv"
    wildcard_constraints:
        variant=owners("generated", "video"),
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("generated_index", {}, domain="video"),
        results=results_root,
    shell:
        "python -m stages.video.generated_index --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in shards={input.shards:q}"
        " --out index={output.index:q}"


rule video_oracle:
    input:
        index=clips_index,
        straightener=oracle_network("straightened"),
        interpolator=oracle_network("interpolator"),
    output:
        oracle="<results>/video/oracle/{variant}/{clips}.npz",
    log:
        "<results>/video/logs/oracle/{variant}.{clips}.txt",
    benchmark:
        "<results>/video/benchmarks/oracle/{variant}.{clips}.tsv"
    wildcard_constraints:
        variant=owners("oracle", "video"),
        clips=r"(generated_)?(train|val|test)",
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=video_spec("oracle"),
        results=results_root,
    shell:
        "python -m stages.video.oracle --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} straightener={input.straightener:q} interpolator={input.interpolator:q}"
        " --out oracle={output.oracle:q}"


rule video_keyframes:
    input:
        index=learned_index("keyframes"),
        oracle=learned_oracle("keyframes"),
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
    output:
        model="<results>/video/keyframes/{variant}/model.safetensors",
        config="<results>/video/keyframes/{variant}/config.json",
        run="<results>/video/keyframes/{variant}/run.json",
        history="<results>/video/keyframes/{variant}/history.csv",
    log:
        "<results>/video/logs/keyframes/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/keyframes/{variant}.tsv"
    wildcard_constraints:
        variant=owners("keyframes", "video"),
    priority: 1  # most samples wait for phase 2, and it for this
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="24h",
    params:
        spec=video_spec("keyframes"),
        results=results_root,
    shell:
        "python -m stages.video.keyframes --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} oracle={input.oracle:q} backbone={input.backbone:q} negative={input.negative:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule video_anchors:
    input:
        index=learned_index("anchors"),
        oracle=learned_oracle("anchors"),
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
        keyframes=video("keyframes", *WEIGHTS),
    output:
        shard="<results>/video/anchors/{variant}/{number}.tar",
    log:
        "<results>/video/logs/anchors/{variant}.{number}.txt",
    benchmark:
        "<results>/video/benchmarks/anchors/{variant}.{number}.tsv"
    wildcard_constraints:
        variant=owners("anchors", "video"),
        number=r"\d{5}",
    priority: 1
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=anchors_spec,
        results=results_root,
    shell:
        "python -m stages.video.anchors --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} oracle={input.oracle:q} backbone={input.backbone:q} negative={input.negative:q} keyframes={input.keyframes:q}"
        " --out shard={output.shard:q}"


rule anchors_index:
    input:
        shards=anchor_shards,
    output:
        index="<results>/video/anchors/{variant}/index.npz",
    log:
        "<results>/video/logs/anchors_index/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/anchors_index/{variant}.tsv"
    wildcard_constraints:
        variant=owners("anchors", "video"),
    priority: 1
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=anchors_index_spec,
        results=results_root,
    shell:
        "python -m stages.video.anchors_index --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in shards={input.shards:q}"
        " --out index={output.index:q}"


rule video_refiner:
    input:
        index=learned_index("anchors"),
        oracle=learned_oracle("anchors"),
        anchors=video("anchors", "index.npz"),
        backbone=backbone_files,
        interpolator=video("interpolator", *WEIGHTS),
    output:
        model="<results>/video/refiner/{variant}/model.safetensors",
        config="<results>/video/refiner/{variant}/config.json",
        run="<results>/video/refiner/{variant}/run.json",
        history="<results>/video/refiner/{variant}/history.csv",
    log:
        "<results>/video/logs/refiner/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/refiner/{variant}.tsv"
    wildcard_constraints:
        variant=owners("refiner", "video"),
    priority: 1
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="24h",
    params:
        spec=refiner_spec,
        results=results_root,
    shell:
        "python -m stages.video.refiner --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} oracle={input.oracle:q} anchors={input.anchors:q} backbone={input.backbone:q} interpolator={input.interpolator:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule cost_targets:
    input:
        index="<results>/video/index/train.npz",
        backbone=backbone_files,
    output:
        targets="<results>/video/segment_cost/{variant}/targets.npz",
    log:
        "<results>/video/logs/cost_targets/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/cost_targets/{variant}.tsv"
    wildcard_constraints:
        variant=owners("segment_cost", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=cost_targets_spec,
        results=results_root,
    shell:
        "python -m stages.video.cost_targets --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} backbone={input.backbone:q}"
        " --out targets={output.targets:q}"


rule video_segment_cost:
    input:
        index="<results>/video/index/train.npz",
        oracle=video("oracle", "train.npz"),
        targets=cost_targets,
    output:
        model="<results>/video/segment_cost/{variant}/model.safetensors",
        config="<results>/video/segment_cost/{variant}/config.json",
        run="<results>/video/segment_cost/{variant}/run.json",
        history="<results>/video/segment_cost/{variant}/history.csv",
    log:
        "<results>/video/logs/segment_cost/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/segment_cost/{variant}.tsv"
    wildcard_constraints:
        variant=owners("segment_cost", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=video_spec("segment_cost"),
        results=results_root,
    shell:
        "python -m stages.video.segment_cost --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} oracle={input.oracle:q} targets={input.targets:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule video_preview:
    input:
        index="<results>/video/index/train.npz",
        backbone=backbone_files,
    output:
        model="<results>/video/preview/{variant}/model.safetensors",
        config="<results>/video/preview/{variant}/config.json",
        run="<results>/video/preview/{variant}/run.json",
        history="<results>/video/preview/{variant}/history.csv",
    log:
        "<results>/video/logs/preview/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/preview/{variant}.tsv"
    wildcard_constraints:
        variant=owners("preview", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=video_spec("preview"),
        results=results_root,
    shell:
        "python -m stages.video.preview --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} backbone={input.backbone:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule video_selector:
    input:
        index=learned_index("selector"),
        oracle=learned_oracle("selector"),
        backbone=if_looking(backbone_files),
        preview=if_looking(video("preview", *WEIGHTS)),
        segment_cost=labelling_segment_cost,
    output:
        model="<results>/video/selector/{variant}/model.safetensors",
        config="<results>/video/selector/{variant}/config.json",
        run="<results>/video/selector/{variant}/run.json",
        history="<results>/video/selector/{variant}/history.csv",
    log:
        "<results>/video/logs/selector/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/selector/{variant}.tsv"
    wildcard_constraints:
        variant=owners("selector", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=selector_spec,
        results=results_root,
    shell:
        "python -m stages.video.selector --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} oracle={input.oracle:q} backbone={input.backbone:q} preview={input.preview:q} segment_cost={input.segment_cost:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule video_samples:
    input:
        index="<results>/video/index/test.npz",
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
        selector=two_phase_files("selector", *WEIGHTS),
        preview=two_phase_files("preview", *WEIGHTS),
        oracle=schedule_oracle,
        keyframes=two_phase_files("keyframes", *WEIGHTS),
        interpolator=two_phase_files("interpolator", *WEIGHTS),
        refiner=two_phase_files("refiner", *WEIGHTS),
    output:
        samples="<results>/video/samples/{variant}/samples.npz",
        costs="<results>/video/samples/{variant}/costs.json",
    log:
        "<results>/video/logs/samples/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/samples/{variant}.tsv"
    wildcard_constraints:
        variant=owners("samples", "video"),
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=video_samples_spec,
        results=results_root,
    shell:
        "python -m stages.video.samples --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} backbone={input.backbone:q} negative={input.negative:q} selector={input.selector:q} preview={input.preview:q} oracle={input.oracle:q} keyframes={input.keyframes:q} interpolator={input.interpolator:q} refiner={input.refiner:q}"
        " --out samples={output.samples:q} costs={output.costs:q}"


rule adherence:
    input:
        index="<results>/video/index/test.npz",
        samples="<results>/video/samples/{variant}/samples.npz",
        codec=codec_files,
    output:
        adherence="<results>/video/samples/{variant}/adherence.csv",
    log:
        "<results>/video/logs/adherence/{variant}.txt",
    benchmark:
        "<results>/video/benchmarks/adherence/{variant}.tsv"
    wildcard_constraints:
        variant=owners("samples", "video"),
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=adherence_spec,
        results=results_root,
    shell:
        "python -m stages.video.adherence --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} samples={input.samples:q} codec={input.codec:q}"
        " --out adherence={output.adherence:q}"


rule video_metrics:
    input:
        samples=method_files("samples.npz"),
        adherence=adherence_files(),
        costs=method_files("costs.json"),
        fit="<results>/video/index/val.npz",
        real="<results>/video/index/test.npz",
    output:
        metrics="<results>/video/metrics.csv",
    log:
        "<results>/video/logs/metrics.txt",
    benchmark:
        "<results>/video/benchmarks/metrics.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=video_metrics_spec,
        results=results_root,
    shell:
        "python -m stages.video.metrics --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in samples={input.samples:q} adherence={input.adherence:q} costs={input.costs:q} fit={input.fit:q} real={input.real:q}"
        " --out metrics={output.metrics:q}"


rule video_selection:
    input:
        index=both_kinds("test"),
        oracle=oracles_of_both_kinds("test"),
        train_index=both_kinds("train"),
        train_oracle=oracles_of_both_kinds("train"),
        backbone=backbone_of(BASE),
        preview=preview_of_base(),
        selectors=compared_models("selector", "selectors"),
        segment_costs=compared_models("segment_cost", "segment_costs"),
    output:
        selection="<results>/video/selection.csv",
    log:
        "<results>/video/logs/selection.txt",
    benchmark:
        "<results>/video/benchmarks/selection.tsv"
    conda:
        "../envs/video.yaml"
    threads: CONFIG.video.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=video_selection_spec,
        results=results_root,
    shell:
        "python -m stages.video.selection --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} oracle={input.oracle:q} train_index={input.train_index:q} train_oracle={input.train_oracle:q} backbone={input.backbone:q} preview={input.preview:q} selectors={input.selectors:q} segment_costs={input.segment_costs:q}"
        " --out selection={output.selection:q}"


rule sample_pictures:
    input:
        index="<results>/video/index/test.npz",
        codec=codec_files,
        metrics="<results>/video/metrics.csv",
        samples=method_files("samples.npz"),
        oracle=variant_files("oracle", BASE, "generated_test.npz", domain="video"),
        histories=list(training_histories().values()),
    output:
        cost="<results>/video/samples/cost.png",
        samples="<results>/video/samples/samples.gif",
        sheet="<results>/video/samples/sheet.png",
        frames="<results>/video/samples/frames.png",
        losses="<results>/video/samples/losses.png",
    log:
        "<results>/video/logs/sample_pictures.txt",
    benchmark:
        "<results>/video/benchmarks/sample_pictures.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=sample_pictures_spec,
        results=results_root,
    shell:
        "python -m stages.video.sample_pictures --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in index={input.index:q} codec={input.codec:q} metrics={input.metrics:q} samples={input.samples:q} oracle={input.oracle:q} histories={input.histories:q}"
        " --out cost={output.cost:q} samples={output.samples:q} sheet={output.sheet:q} frames={output.frames:q} losses={output.losses:q}"
