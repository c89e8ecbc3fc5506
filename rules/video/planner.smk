use rule video_network as backbone with:
    input:
        index="<results>/video/index/train.npz",
        negative="<results>/video/negative.npz",
        codec=codec_to_render_with("backbone"),
    output:
        **checkpoint_in("video/backbone/{variant}"),
    pathvars:
        job="backbone/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("backbone"),
    threads: CONFIG.video.backbone_threads
    params:
        spec=VIDEO.spec("backbone", CONFIG.video.backbone_threads),


use rule video_network as adapted with:
    input:
        index="<results>/video/index/train.npz",
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
    output:
        **checkpoint_in("video/adapted/{variant}"),
    pathvars:
        job="adapted/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("adapted"),
    params:
        spec=VIDEO.spec("adapted", CONFIG.video.threads),


use rule video_network as distilled with:
    input:
        index="<results>/video/index/train.npz",
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
    output:
        **checkpoint_in("video/distilled/{variant}"),
    pathvars:
        job="distilled/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("distilled"),
    params:
        spec=VIDEO.spec("distilled", CONFIG.video.threads),


use rule video_stage as video_teacher with:
    input:
        backbone=VIDEO.of("backbone", *CHECKPOINT.values()),
        codec=[VIDEO.path(f"codec/{name}") for name in CHECKPOINT.values()],
    output:
        **{
            f"{part}_{name}": f"<results>/video/teacher/{{variant}}/{folder}{file}"
            for part, folder in (("backbone", ""), ("codec", "codec/"))
            for name, file in CHECKPOINT.items()
        },
        sums="<results>/video/teacher/{variant}/SHA256SUMS",
    pathvars:
        job="teacher/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("backbone"),
    params:
        spec=VIDEO.spec("teacher"),


use rule video_network as generated with:
    input:
        index="<results>/video/index/{split}.npz",
        backbone=backbone_files,
        negative="<results>/video/negative.npz",
    output:
        shard="<results>/video/generated/{variant}/{split}/{number}.tar",
    pathvars:
        job="generated/{variant}.{split}.{number}",
    wildcard_constraints:
        variant=VIDEO.owners("generated"),
        number=r"\d{5}",
    params:
        spec=VIDEO.spec("generated", CONFIG.video.threads),


use rule video_stage as generated_index with:
    input:
        shards=VIDEO.generated_shards,
    output:
        index="<results>/video/generated/{variant}/{split}.npz",
    pathvars:
        job="generated_index/{variant}.{split}",
    wildcard_constraints:
        variant=VIDEO.owners("generated"),
    params:
        spec=VIDEO.spec("generated_index", shared="index"),


use rule video_network as video_oracle with:
    input:
        index=VIDEO.clips_index,
        straightener=oracle_network("straightened"),
        interpolator=oracle_network("interpolator"),
    output:
        oracle="<results>/video/oracle/{variant}/{clips}.npz",
    pathvars:
        job="oracle/{variant}.{clips}",
    wildcard_constraints:
        variant=VIDEO.owners("oracle"),
        clips=r"(generated_)?(train|val|test)",
    params:
        spec=VIDEO.spec("oracle", CONFIG.video.threads),


use rule video_network as cost_targets with:
    input:
        index="<results>/video/index/train.npz",
        backbone=backbone_files,
    output:
        targets="<results>/video/segment_cost/{variant}/targets.npz",
    pathvars:
        job="cost_targets/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("segment_cost"),
    params:
        spec=VIDEO.spec("cost_targets", CONFIG.video.threads),


use rule video_network as video_segment_cost with:
    input:
        index="<results>/video/index/train.npz",
        oracle=VIDEO.of("oracle", "train.npz"),
        targets=cost_targets,
    output:
        **checkpoint_in("video/segment_cost/{variant}"),
    pathvars:
        job="segment_cost/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("segment_cost"),
    params:
        spec=VIDEO.spec("segment_cost", CONFIG.video.threads),


use rule video_network as video_preview with:
    input:
        index="<results>/video/index/train.npz",
        backbone=backbone_files,
    output:
        **checkpoint_in("video/preview/{variant}"),
    pathvars:
        job="preview/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("preview"),
    params:
        spec=VIDEO.spec("preview", CONFIG.video.threads),


use rule video_network as video_selector with:
    input:
        index=VIDEO.learned_index("selector"),
        oracle=VIDEO.learned_oracle("selector"),
        backbone=if_looking(backbone_files),
        preview=if_looking(VIDEO.of("preview", *WEIGHTS)),
        segment_cost=labelling_segment_cost,
    output:
        **checkpoint_in("video/selector/{variant}"),
    pathvars:
        job="selector/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("selector"),
    params:
        spec=VIDEO.spec("selector", CONFIG.video.threads),


use rule video_network as video_keyframes with:
    input:
        index=VIDEO.learned_index("keyframes"),
        oracle=VIDEO.learned_oracle("keyframes"),
        backbone=backbone_files,
        adapted=VIDEO.adapted_files("keyframes"),
        negative="<results>/video/negative.npz",
    output:
        **checkpoint_in("video/keyframes/{variant}"),
    pathvars:
        job="keyframes/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("keyframes"),
    priority: 1  # most samples wait for phase 2, and it for this
    params:
        spec=VIDEO.spec("keyframes", CONFIG.video.threads),


use rule video_network as distilled_keyframes with:
    input:
        index=VIDEO.learned_index("keyframes"),
        oracle=VIDEO.learned_oracle("keyframes"),
        backbone=backbone_files,
        adapted=VIDEO.adapted_files("keyframes"),
        negative="<results>/video/negative.npz",
        keyframes=VIDEO.of("keyframes", *WEIGHTS),
    output:
        **checkpoint_in("video/distilled_keyframes/{variant}"),
    pathvars:
        job="distilled_keyframes/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("distilled_keyframes"),
    params:
        spec=VIDEO.spec("distilled_keyframes", CONFIG.video.threads),


use rule video_network as video_anchors with:
    input:
        index=VIDEO.learned_index("anchors"),
        oracle=VIDEO.learned_oracle("anchors"),
        backbone=backbone_files,
        adapted=VIDEO.adapted_files("keyframes"),
        negative="<results>/video/negative.npz",
        keyframes=VIDEO.of("keyframes", *WEIGHTS),
    output:
        shard="<results>/video/anchors/{variant}/{number}.tar",
    pathvars:
        job="anchors/{variant}.{number}",
    wildcard_constraints:
        variant=VIDEO.owners("anchors"),
        number=r"\d{5}",
    priority: 1
    params:
        spec=VIDEO.spec("anchors", CONFIG.video.threads),


use rule video_stage as anchors_index with:
    input:
        shards=VIDEO.anchor_shards,
    output:
        index="<results>/video/anchors/{variant}/index.npz",
    pathvars:
        job="anchors_index/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("anchors"),
    priority: 1
    params:
        spec=VIDEO.spec("anchors_index", shared="index"),


use rule video_network as video_refiner with:
    input:
        index=VIDEO.learned_index("anchors"),
        oracle=VIDEO.learned_oracle("anchors"),
        anchors=VIDEO.of("anchors", "index.npz"),
        backbone=backbone_files,
        adapted=VIDEO.adapted_files("refiner"),
        interpolator=VIDEO.of("interpolator", *WEIGHTS),
    output:
        **checkpoint_in("video/refiner/{variant}"),
    pathvars:
        job="refiner/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("refiner"),
    priority: 1
    params:
        spec=VIDEO.spec("refiner", CONFIG.video.threads),


use rule video_network as distilled_refiner with:
    input:
        index=VIDEO.learned_index("anchors"),
        oracle=VIDEO.learned_oracle("anchors"),
        anchors=VIDEO.of("anchors", "index.npz"),
        backbone=backbone_files,
        interpolator=VIDEO.of("interpolator", *WEIGHTS),
        negative="<results>/video/negative.npz",
    output:
        **checkpoint_in("video/distilled_refiner/{variant}"),
    pathvars:
        job="distilled_refiner/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("distilled_refiner"),
    params:
        spec=VIDEO.spec("distilled_refiner", CONFIG.video.threads),
