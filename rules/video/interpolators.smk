use rule video_network as straightener with:
    input:
        index="<results>/video/index/train.npz",
    output:
        **checkpoint_in("video/straightener/{variant}"),
    pathvars:
        job="straightener/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("straightener"),
    params:
        spec=VIDEO.spec("straightener", CONFIG.video.threads),


use rule video_network as interpolator with:
    input:
        index=index_to_learn,
        held_out="<results>/video/index/val.npz",
        codec=codec_to_render_with("interpolator"),
        straightener=straightener_checkpoint,
        optical_flow=optical_flow_index,
        pretrained=pretrained_interpolator,
    output:
        **checkpoint_in("video/interpolator/{variant}"),
    pathvars:
        job="interpolator/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("interpolator"),
    priority: 1  # phase 2 waits for what fills its clips
    params:
        spec=VIDEO.spec("interpolator", CONFIG.video.threads),


use rule video_network as interpolation with:
    input:
        index=held_out_index(),
        codec=codec_files,
        interpolator=VIDEO.of("interpolator", *WEIGHTS),
    output:
        figures="<results>/video/interpolation/{variant}/figures.npz",
        costs="<results>/video/interpolation/{variant}/costs.json",
    pathvars:
        job="interpolation/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("interpolation"),
    params:
        spec=VIDEO.spec("interpolation", CONFIG.video.threads),


use rule video_network as optical_flow_interpolation with:
    input:
        index=held_out_index(),
        codec=codec_files,
        optical_flow=held_out_index("{pixels}"),
    output:
        figures="<results>/video/interpolation/{pixels}/figures.npz",
        costs="<results>/video/interpolation/{pixels}/costs.json",
    pathvars:
        job="interpolation/{pixels}",
    wildcard_constraints:
        pixels="|".join(IN_PIXELS),
    params:
        spec=VIDEO.spec("interpolation", CONFIG.video.threads),


use rule video_stage as interpolators with:
    input:
        figures=compared_interpolations("figures.npz"),
        costs=compared_interpolations("costs.json"),
    output:
        interpolators="<results>/video/{table}.csv",
    pathvars:
        job="{table}",
    wildcard_constraints:
        table="interpolators|interpolator_ablations",
    params:
        spec=VIDEO.spec("interpolators"),
