use rule video_network as video_samples with:
    input:
        index=sampled_index,
        backbone=backbone_files,
        adapted=VIDEO.adapted_files("samples"),
        distilled=VIDEO.student_files("distilled"),
        negative="<results>/video/negative.npz",
        segment_cost=two_phase_files("segment_cost", *WEIGHTS),
        selector=two_phase_files("selector", *WEIGHTS),
        preview=two_phase_files("preview", *WEIGHTS),
        oracle=schedule_oracle,
        keyframes=two_phase_files("keyframes", *WEIGHTS),
        distilled_keyframes=VIDEO.student_files("distilled_keyframes"),
        interpolator=two_phase_files("interpolator", *WEIGHTS),
        refiner=two_phase_files("refiner", *WEIGHTS),
        distilled_refiner=VIDEO.student_files("distilled_refiner"),
    output:
        samples="<results>/video/samples/{variant}/samples.npz",
        costs="<results>/video/samples/{variant}/costs.json",
    pathvars:
        job="samples/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("samples"),
    params:
        spec=VIDEO.spec("samples", CONFIG.video.threads),


use rule video_samples as other_noise with:
    output:
        samples="<results>/video/samples/{variant}/other_noise/samples.npz",
        costs="<results>/video/samples/{variant}/other_noise/costs.json",
    pathvars:
        job="other_noise/{variant}",
    params:
        spec=VIDEO.spec("other_noise", CONFIG.video.threads, shared="video.samples"),


use rule video_network as adherence with:
    input:
        index=sampled_index,
        samples="<results>/video/samples/{variant}/samples.npz",
        codec=codec_files,
    output:
        adherence="<results>/video/samples/{variant}/adherence.csv",
    pathvars:
        job="adherence/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("samples"),
    threads: 1
    params:
        spec=VIDEO.spec("adherence"),


use rule video_network as content with:
    input:
        index=sampled_index,
        samples="<results>/video/samples/{variant}/samples.npz",
        codec=codec_files,
        clip=clip_files,
    output:
        content="<results>/video/samples/{variant}/content.csv",
    pathvars:
        job="content/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("samples"),
    threads: 1
    params:
        spec=VIDEO.spec("content"),


use rule video_stage as video_metrics with:
    input:
        **judged_files(),
        samples=method_files("samples.npz"),
        costs=method_files("costs.json"),
        fit="<results>/video/index/val.npz",
        real="<results>/video/index/test.npz",
    output:
        metrics="<results>/video/metrics.csv",
        ladder="<results>/video/ladder.csv",
    pathvars:
        job="metrics",
    params:
        spec=VIDEO.spec("metrics"),


use rule video_stage as tuning with:
    input:
        **judged_files("tuning"),
        samples=method_files("samples.npz", "tuning"),
        costs=method_files("costs.json", "tuning"),
        fit="<results>/video/index/val.npz",
        real="<results>/video/index/val.npz",
    output:
        tuning="<results>/video/tuning.csv",
    pathvars:
        job="tuning",
    params:
        spec=VIDEO.spec("tuning"),


use rule video_network as faithfulness with:
    input:
        index="<results>/video/index/test.npz",
        backbone=backbone_files,
        adapted=VIDEO.adapted_files("samples"),
    output:
        faithfulness="<results>/video/samples/{variant}/faithfulness.json",
    pathvars:
        job="faithfulness/{variant}",
    wildcard_constraints:
        variant=VIDEO.owners("samples"),
    params:
        spec=VIDEO.spec("faithfulness", CONFIG.video.threads),


use rule video_stage as attention with:
    input:
        **judged_files("attention"),
        samples=method_files("samples.npz", "attention"),
        costs=method_files("costs.json", "attention"),
        faithfulness=method_files("faithfulness.json", "attention"),
        exact=VIDEO.files("samples", CONFIG.video.report.exact, "samples.npz"),
        fit="<results>/video/index/val.npz",
        real="<results>/video/index/test.npz",
    output:
        attention="<results>/video/attention.csv",
    pathvars:
        job="attention",
    params:
        spec=VIDEO.spec("attention"),


use rule video_stage as milestone with:
    input:
        **judged_files("milestone"),
        samples=method_files("samples.npz", "milestone"),
        costs=method_files("costs.json", "milestone"),
        other_noise=method_files("other_noise/samples.npz", "diverse"),
        exact=VIDEO.files("samples", CONFIG.video.report.exact, "samples.npz"),
        fit="<results>/video/index/val.npz",
        real="<results>/video/index/test.npz",
    output:
        milestone="<results>/video/milestone.csv",
        picture="<results>/video/milestone.png",
    pathvars:
        job="milestone",
    params:
        spec=VIDEO.spec("milestone"),


use rule video_stage as attention_costs with:
    output:
        costs="<results>/video/attention_costs.csv",
        picture="<results>/video/attention_costs.png",
    pathvars:
        job="attention_costs",
    params:
        spec=VIDEO.spec("attention_costs"),


use rule video_network as profile with:
    input:
        index="<results>/video/index/train.npz",
        backbone=lambda wildcards: backbone_of(BASE),
        codec=codec_files,
    output:
        profile="<results>/video/profile.csv",
        picture="<results>/video/profile.png",
    pathvars:
        job="profile",
    params:
        spec=VIDEO.spec("profile", CONFIG.video.threads),


use rule video_network as video_selection with:
    input:
        index=judged_clips("test"),
        oracle=oracles_of_judged_clips("test"),
        train_index=judged_clips("train"),
        train_oracle=oracles_of_judged_clips("train"),
        backbone=lambda wildcards: backbone_of(BASE),
        preview=preview_of_base(),
        selectors=compared_models("selector", "selectors"),
        segment_costs=compared_models("segment_cost", "segment_costs"),
    output:
        selection="<results>/video/selection.csv",
    pathvars:
        job="selection",
    params:
        spec=VIDEO.spec("selection", CONFIG.video.threads),
