rule video:
    input:
        metrics="<results>/video/metrics.csv",
        selection="<results>/video/selection.csv",
        interpolators="<results>/video/interpolators.csv",
        report="<results>/video/report.html",


use rule video_network as interpolation_pictures with:
    input:
        index=held_out_index(),
        codec=codec_files,
        figures=interpolation_files(CONFIG.video.report.interpolators, "figures.npz"),
        interpolators=reported_interpolators(*WEIGHTS),
        histories=histories(VIDEO.trained_interpolators()),
    output:
        errors="<results>/video/interpolation/errors.png",
        best="<results>/video/interpolation/best.png",
        median="<results>/video/interpolation/median.png",
        worst="<results>/video/interpolation/worst.png",
        fields="<results>/video/interpolation/fields.png",
        curves="<results>/video/interpolation/curves.png",
    pathvars:
        job="interpolation_pictures",
    threads: 1
    params:
        spec=VIDEO.spec("interpolation_pictures"),


use rule video_network as sample_pictures with:
    input:
        index="<results>/video/index/test.npz",
        codec=codec_files,
        metrics="<results>/video/metrics.csv",
        samples=method_files("samples.npz"),
        oracle=VIDEO.files("oracle", BASE, "generated_test.npz"),
        histories=histories(VIDEO.trained()),
    output:
        cost="<results>/video/samples/cost.png",
        samples="<results>/video/samples/samples.mp4",
        sheet="<results>/video/samples/sheet.png",
        frames="<results>/video/samples/frames.png",
        losses="<results>/video/samples/losses.png",
        ladder="<results>/video/samples/ladder.png",
    pathvars:
        job="sample_pictures",
    threads: 1
    params:
        spec=VIDEO.spec("sample_pictures"),


use rule video_stage as video_report with:
    input:
        data=data_report(),
        samples=samples_report(),
        selection=["<results>/video/selection.csv", "<results>/video/samples/frames.png"],
        interpolators=interpolator_report(),
        ablations=included(VIDEO, "ablations", "interpolator_ablations.csv"),
        tuning=included(VIDEO, "tuning", "tuning.csv"),
        milestone=included(VIDEO, "milestone", "milestone.csv", "milestone.png"),
        attention=included(VIDEO, "attention", "attention.csv", "attention_costs.png", "profile.png"),
    output:
        report="<results>/video/report.html",
    pathvars:
        job="report",
    params:
        spec=VIDEO.spec("report", shared="report"),
