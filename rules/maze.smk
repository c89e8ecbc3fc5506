localrules:
    maze,
    metrics,
    gallery,
    curves,
    variants,
    rollouts,
    report,


rule maze:
    input:
        metrics="<results>/maze/metrics.csv",
        selection=report_selection(),
        pictures=report_pictures(),
        record="<results>/maze/variants.json",
        report="<results>/maze/report.html",


rule demonstrations:
    input:
        source=layout_source,
    output:
        demonstrations="<results>/maze/demonstrations/{layout}.hdf5",
    log:
        "<results>/maze/logs/demonstrations/{layout}.txt",
    benchmark:
        "<results>/maze/benchmarks/demonstrations/{layout}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=layout_spec,
        results=results_root,
    shell:
        "python -m stages.maze.demonstrations --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in source={input.source:q}"
        " --out demonstrations={output.demonstrations:q}"


rule prepare:
    input:
        demonstrations=layout_demonstrations,
    output:
        train="<results>/maze/prepared/{variant}/train.npz",
        val="<results>/maze/prepared/{variant}/val.npz",
        test="<results>/maze/prepared/{variant}/test.npz",
    log:
        "<results>/maze/logs/prepare/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/prepare/{variant}.tsv"
    wildcard_constraints:
        variant=owners("prepare"),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=maze_spec("prepare", threads=1),
        results=results_root,
    shell:
        "python -m stages.maze.prepare --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in demonstrations={input.demonstrations:q}"
        " --out train={output.train:q} val={output.val:q} test={output.test:q}"


rule masks:
    input:
        prepared=maze("prepare", "{split}.npz"),
    output:
        masks="<results>/maze/masks/{variant}/{split}.npz",
    log:
        "<results>/maze/logs/masks/{variant}.{split}.txt",
    benchmark:
        "<results>/maze/benchmarks/masks/{variant}.{split}.tsv"
    wildcard_constraints:
        variant=owners("masks"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=maze_spec("masks"),
        results=results_root,
    shell:
        "python -m stages.maze.masks --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in prepared={input.prepared:q}"
        " --out masks={output.masks:q}"


rule segment_cost:
    input:
        train=maze("prepare", "train.npz"),
        val=maze("prepare", "val.npz"),
        masks_val=maze("masks", "val.npz"),
    output:
        model="<results>/maze/segment_cost/{variant}/model.safetensors",
        config="<results>/maze/segment_cost/{variant}/config.json",
        run="<results>/maze/segment_cost/{variant}/run.json",
        history="<results>/maze/segment_cost/{variant}/history.csv",
        metrics="<results>/maze/segment_cost/{variant}/metrics.json",
    log:
        "<results>/maze/logs/segment_cost/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/segment_cost/{variant}.tsv"
    wildcard_constraints:
        variant=owners("segment_cost"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("segment_cost"),
        results=results_root,
    shell:
        "python -m stages.maze.segment_cost --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in train={input.train:q} val={input.val:q} masks_val={input.masks_val:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q} metrics={output.metrics:q}"


rule selector:
    input:
        train=maze("prepare", "train.npz"),
        val=maze("prepare", "val.npz"),
        masks_val=maze("masks", "val.npz"),
        segment_cost=checkpoint_of("segment_cost"),
    output:
        model="<results>/maze/selector/{variant}/model.safetensors",
        config="<results>/maze/selector/{variant}/config.json",
        run="<results>/maze/selector/{variant}/run.json",
        history="<results>/maze/selector/{variant}/history.csv",
        metrics="<results>/maze/selector/{variant}/metrics.json",
    log:
        "<results>/maze/logs/selector/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/selector/{variant}.tsv"
    wildcard_constraints:
        variant=owners("selector"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("selector"),
        results=results_root,
    shell:
        "python -m stages.maze.selector --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in train={input.train:q} val={input.val:q} masks_val={input.masks_val:q} segment_cost={input.segment_cost:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q} metrics={output.metrics:q}"


rule keyframes:
    input:
        train=maze("prepare", "train.npz"),
        masks_train=maze("masks", "train.npz"),
        segment_cost=checkpoint_of("segment_cost"),
        selector=checkpoint_of("selector"),
    output:
        model="<results>/maze/keyframes/{variant}/model.safetensors",
        config="<results>/maze/keyframes/{variant}/config.json",
        run="<results>/maze/keyframes/{variant}/run.json",
        history="<results>/maze/keyframes/{variant}/history.csv",
    log:
        "<results>/maze/logs/keyframes/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/keyframes/{variant}.tsv"
    wildcard_constraints:
        variant=owners("keyframes"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("keyframes"),
        results=results_root,
    shell:
        "python -m stages.maze.keyframes --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in train={input.train:q} masks_train={input.masks_train:q} segment_cost={input.segment_cost:q} selector={input.selector:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule anchors:
    input:
        prepared=maze("prepare", "{split}.npz"),
        masks=maze("masks", "{split}.npz"),
        segment_cost=checkpoint_of("segment_cost"),
        selector=checkpoint_of("selector"),
        keyframes=checkpoint_of("keyframes"),
    output:
        anchors="<results>/maze/anchors/{variant}/{split}.npz",
    log:
        "<results>/maze/logs/anchors/{variant}.{split}.txt",
    benchmark:
        "<results>/maze/benchmarks/anchors/{variant}.{split}.tsv"
    wildcard_constraints:
        variant=owners("anchors"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("anchors"),
        results=results_root,
    shell:
        "python -m stages.maze.anchors --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in prepared={input.prepared:q} masks={input.masks:q} segment_cost={input.segment_cost:q} selector={input.selector:q} keyframes={input.keyframes:q}"
        " --out anchors={output.anchors:q}"


rule refiner:
    input:
        train=maze("prepare", "train.npz"),
        anchors=maze("anchors", "train.npz"),
        selector=checkpoint_of("selector"),
        keyframes=checkpoint_of("keyframes"),
    output:
        model="<results>/maze/refiner/{variant}/model.safetensors",
        config="<results>/maze/refiner/{variant}/config.json",
        run="<results>/maze/refiner/{variant}/run.json",
        history="<results>/maze/refiner/{variant}/history.csv",
    log:
        "<results>/maze/logs/refiner/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/refiner/{variant}.tsv"
    wildcard_constraints:
        variant=owners("refiner"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("refiner"),
        results=results_root,
    shell:
        "python -m stages.maze.refiner --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in train={input.train:q} anchors={input.anchors:q} selector={input.selector:q} keyframes={input.keyframes:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule samples:
    input:
        test=maze("prepare", "test.npz"),
        masks_test=maze("masks", "test.npz"),
        segment_cost=checkpoint_of("segment_cost"),
        selector=checkpoint_of("selector"),
        keyframes=checkpoint_of("keyframes"),
        refiner=checkpoint_of("refiner"),
    output:
        samples="<results>/maze/samples/{variant}/samples.npz",
        metrics="<results>/maze/samples/{variant}/metrics.csv",
    log:
        "<results>/maze/logs/samples/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/samples/{variant}.tsv"
    wildcard_constraints:
        variant=owners("samples"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("samples"),
        results=results_root,
    shell:
        "python -m stages.maze.samples --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in test={input.test:q} masks_test={input.masks_test:q} segment_cost={input.segment_cost:q} selector={input.selector:q} keyframes={input.keyframes:q} refiner={input.refiner:q}"
        " --out samples={output.samples:q} metrics={output.metrics:q}"


rule selection:
    input:
        test="<results>/maze/prepared/base/test.npz",
        masks_test="<results>/maze/masks/base/test.npz",
        segment_cost=multiext("<results>/maze/segment_cost/base/", "model.safetensors", "config.json"),
        selector=multiext("<results>/maze/selector/base/", "model.safetensors", "config.json"),
    output:
        selection="<results>/maze/selection.csv",
    log:
        "<results>/maze/logs/selection.txt",
    benchmark:
        "<results>/maze/benchmarks/selection.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=selection_spec,
        results=results_root,
    shell:
        "python -m stages.maze.selection --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in test={input.test:q} masks_test={input.masks_test:q} segment_cost={input.segment_cost:q} selector={input.selector:q}"
        " --out selection={output.selection:q}"


rule gallery:
    input:
        samples="<results>/maze/samples/{variant}/samples.npz",
    output:
        gallery="<results>/maze/samples/{variant}/{layout}.png",
    log:
        "<results>/maze/logs/gallery/{variant}.{layout}.txt",
    benchmark:
        "<results>/maze/benchmarks/gallery/{variant}.{layout}.tsv"
    wildcard_constraints:
        variant=owners("samples"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec(
            "gallery", CONFIG.maze.report.gallery.model_dump(include={"samples_drawn"})
        ),
        results=results_root,
    shell:
        "python -m stages.maze.gallery --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in samples={input.samples:q}"
        " --out gallery={output.gallery:q}"


rule curves:
    input:
        segment_cost=maze("segment_cost", "history.csv"),
        selector=maze("selector", "history.csv"),
        keyframes=maze("keyframes", "history.csv"),
        refiner=maze("refiner", "history.csv"),
    output:
        curves="<results>/maze/samples/{variant}/curves.png",
    log:
        "<results>/maze/logs/curves/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/curves/{variant}.tsv"
    wildcard_constraints:
        variant=owners("samples"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("curves", {}),
        results=results_root,
    shell:
        "python -m stages.maze.curves --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in segment_cost={input.segment_cost:q} selector={input.selector:q} keyframes={input.keyframes:q} refiner={input.refiner:q}"
        " --out curves={output.curves:q}"


rule metrics:
    input:
        metrics=report_metrics(),
    output:
        metrics="<results>/maze/metrics.csv",
    log:
        "<results>/maze/logs/metrics.txt",
    benchmark:
        "<results>/maze/benchmarks/metrics.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("metrics", CONFIG.maze.report.model_dump(include={"variants"})),
        results=results_root,
    shell:
        "python -m stages.maze.metrics --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in metrics={input.metrics:q}"
        " --out metrics={output.metrics:q}"


rule variants:
    input:
        metrics="<results>/maze/metrics.csv",
        pictures=report_pictures(),
        artifacts=reported_artifacts(),
    output:
        record="<results>/maze/variants.json",
    log:
        "<results>/maze/logs/variants.txt",
    benchmark:
        "<results>/maze/benchmarks/variants.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=variants_spec,
        results=results_root,
    shell:
        "python -m stages.maze.variants --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in metrics={input.metrics:q} pictures={input.pictures:q} artifacts={input.artifacts:q}"
        " --out record={output.record:q}"


rule report:
    input:
        record="<results>/maze/variants.json",
        selection=report_selection(),
        pictures=report_pictures(),
        rollouts=included(
            "rollouts",
            "rollouts.csv",
            "rollouts/driven.png",
            "rollouts/compute.png",
            "rollouts/plan.gif",
        ),
        unseen=included("unseen", "unseen.csv"),
        ablations=report_ablations(),
        diagnostics=included(
            "diagnostics",
            "diagnostics/base/levels.png",
            "diagnostics/base/indices.png",
            "diagnostics/base/failures.csv",
            "diagnostics/base/failures.png",
        ),
    output:
        report="<results>/maze/report.html",
    log:
        "<results>/maze/logs/report.txt",
    benchmark:
        "<results>/maze/benchmarks/report.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("report", {}),
        results=results_root,
    shell:
        "python -m stages.maze.report --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in record={input.record:q} selection={input.selection:q} pictures={input.pictures:q}"
        " rollouts={input.rollouts:q} unseen={input.unseen:q} ablations={input.ablations:q}"
        " diagnostics={input.diagnostics:q}"
        " --out report={output.report:q}"


rule window_diffusion:
    input:
        train=maze("prepare", "train.npz"),
    output:
        model="<results>/maze/window_diffusion/{variant}/model.safetensors",
        config="<results>/maze/window_diffusion/{variant}/config.json",
        run="<results>/maze/window_diffusion/{variant}/run.json",
        history="<results>/maze/window_diffusion/{variant}/history.csv",
    log:
        "<results>/maze/logs/window_diffusion/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/window_diffusion/{variant}.tsv"
    wildcard_constraints:
        variant=owners("window_diffusion"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("window_diffusion"),
        results=results_root,
    shell:
        "python -m stages.maze.window_diffusion --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in train={input.train:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule segment_fill:
    input:
        train=maze("prepare", "train.npz"),
    output:
        model="<results>/maze/segment_fill/{variant}/model.safetensors",
        config="<results>/maze/segment_fill/{variant}/config.json",
        run="<results>/maze/segment_fill/{variant}/run.json",
        history="<results>/maze/segment_fill/{variant}/history.csv",
    log:
        "<results>/maze/logs/segment_fill/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/segment_fill/{variant}.tsv"
    wildcard_constraints:
        variant=owners("segment_fill"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=maze_spec("segment_fill"),
        results=results_root,
    shell:
        "python -m stages.maze.segment_fill --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in train={input.train:q}"
        " --out model={output.model:q} config={output.config:q} run={output.run:q} history={output.history:q}"


rule drive:
    input:
        test=planner_files("prepare", "test.npz"),
        segment_cost=planner_files("segment_cost", *WEIGHTS),
        selector=planner_files("selector", *WEIGHTS),
        keyframes=planner_files("keyframes", *WEIGHTS),
        refiner=planner_files("refiner", *WEIGHTS),
        full_sequence=baseline_checkpoint("window_diffusion", "full_sequence"),
        few_steps=baseline_checkpoint("window_diffusion", "few_steps"),
        subgoals=baseline_checkpoint("window_diffusion", "hierarchical"),
        segments=baseline_checkpoint("segment_fill", "hierarchical"),
    output:
        scores="<results>/maze/rollouts/{task}/{map}.csv",
        driven="<results>/maze/rollouts/{task}/{map}.npz",
    log:
        "<results>/maze/logs/drive/{task}.{map}.txt",
    benchmark:
        "<results>/maze/benchmarks/drive/{task}.{map}.tsv"
    wildcard_constraints:
        task="single|multi|heldout",
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=drive_spec,
        results=results_root,
    shell:
        "python -m stages.maze.drive --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in test={input.test:q} segment_cost={input.segment_cost:q} selector={input.selector:q}"
        " keyframes={input.keyframes:q} refiner={input.refiner:q} full_sequence={input.full_sequence:q}"
        " few_steps={input.few_steps:q} subgoals={input.subgoals:q} segments={input.segments:q}"
        " --out scores={output.scores:q} driven={output.driven:q}"


rule rollouts:
    input:
        scores=driven(CONFIG.maze.report.rollouts.tasks, ".csv"),
    output:
        rollouts="<results>/maze/rollouts.csv",
    log:
        "<results>/maze/logs/rollouts.txt",
    benchmark:
        "<results>/maze/benchmarks/rollouts.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("rollouts", {}),
        results=results_root,
    shell:
        "python -m stages.maze.rollouts --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in scores={input.scores:q}"
        " --out rollouts={output.rollouts:q}"


rule rollout_pictures:
    input:
        rollouts="<results>/maze/rollouts.csv",
        driven=driven([CONFIG.maze.report.rollouts.drawn_task], ".npz"),
    output:
        driven="<results>/maze/rollouts/driven.png",
        compute="<results>/maze/rollouts/compute.png",
        plan="<results>/maze/rollouts/plan.gif",
    log:
        "<results>/maze/logs/rollout_pictures.txt",
    benchmark:
        "<results>/maze/benchmarks/rollout_pictures.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        spec=lambda wildcards: stage_spec("rollout_pictures", {}),
        results=results_root,
    shell:
        "python -m stages.maze.rollout_pictures --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in rollouts={input.rollouts:q} driven={input.driven:q}"
        " --out driven={output.driven:q} compute={output.compute:q} plan={output.plan:q}"


rule unseen:
    input:
        test=unseen_files("prepare", "test.npz"),
        segment_cost=unseen_files("segment_cost", *WEIGHTS),
        selector=unseen_files("selector", *WEIGHTS),
        keyframes=unseen_files("keyframes", *WEIGHTS),
        refiner=unseen_files("refiner", *WEIGHTS),
    output:
        unseen="<results>/maze/unseen.csv",
    log:
        "<results>/maze/logs/unseen.txt",
    benchmark:
        "<results>/maze/benchmarks/unseen.tsv"
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="4h",
    params:
        spec=unseen_spec,
        results=results_root,
    shell:
        "python -m stages.maze.unseen --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in test={input.test:q} segment_cost={input.segment_cost:q} selector={input.selector:q}"
        " keyframes={input.keyframes:q} refiner={input.refiner:q}"
        " --out unseen={output.unseen:q}"


rule ablations:
    input:
        samples=ablation_samples,
    output:
        ablations="<results>/maze/{table}.csv",
    log:
        "<results>/maze/logs/{table}.txt",
    benchmark:
        "<results>/maze/benchmarks/{table}.tsv"
    wildcard_constraints:
        table="ablations|quick_ablations",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=ablations_spec,
        results=results_root,
    shell:
        "python -m stages.maze.ablations --spec {params.spec:q}"
        " --log {log:q} --results {params.results:q}"
        " --in samples={input.samples:q}"
        " --out ablations={output.ablations:q}"


rule diagnostics:
    input:
        test=maze("prepare", "test.npz"),
        masks_test=maze("masks", "test.npz"),
        segment_cost=checkpoint_of("segment_cost"),
        selector=checkpoint_of("selector"),
        keyframes=checkpoint_of("keyframes"),
        refiner=checkpoint_of("refiner"),
        samples=maze("samples", "samples.npz"),
    output:
        levels="<results>/maze/diagnostics/{variant}/levels.csv",
        levels_picture="<results>/maze/diagnostics/{variant}/levels.png",
        indices="<results>/maze/diagnostics/{variant}/indices.csv",
        indices_picture="<results>/maze/diagnostics/{variant}/indices.png",
        failures="<results>/maze/diagnostics/{variant}/failures.csv",
        failures_picture="<results>/maze/diagnostics/{variant}/failures.png",
    log:
        "<results>/maze/logs/diagnostics/{variant}.txt",
    benchmark:
        "<results>/maze/benchmarks/diagnostics/{variant}.tsv"
    wildcard_constraints:
        variant=owners("samples"),
    conda:
        "../envs/torch.yaml"
    threads: CONFIG.maze.threads
    resources:
        gpu=1,
        mem_mb=memory(4000),
        runtime="1h",
    params:
        spec=diagnostics_spec,
        results=results_root,
    shell:
        "python -m stages.maze.diagnostics --spec {params.spec:q} --gpus {resources.gpu}"
        " --log {log:q} --results {params.results:q}"
        " --in test={input.test:q} masks_test={input.masks_test:q} segment_cost={input.segment_cost:q}"
        " selector={input.selector:q} keyframes={input.keyframes:q} refiner={input.refiner:q} samples={input.samples:q}"
        " --out levels={output.levels:q} levels_picture={output.levels_picture:q}"
        " indices={output.indices:q} indices_picture={output.indices_picture:q}"
        " failures={output.failures:q} failures_picture={output.failures_picture:q}"
