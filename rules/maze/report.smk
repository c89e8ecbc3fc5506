rule maze:
    input:
        metrics="<results>/maze/metrics.csv",
        selection=report_selection(),
        pictures=report_pictures(),
        record="<results>/maze/variants.json",
        report="<results>/maze/report.html",


use rule maze_stage as gallery with:
    input:
        samples="<results>/maze/samples/{variant}/samples.npz",
    output:
        gallery="<results>/maze/samples/{variant}/{layout}.png",
    pathvars:
        job="gallery/{variant}.{layout}",
    wildcard_constraints:
        variant=MAZE.owners("samples"),
    params:
        spec=MAZE.spec("gallery"),


use rule maze_stage as curves with:
    input:
        segment_cost=MAZE.of("segment_cost", "history.csv"),
        selector=MAZE.of("selector", "history.csv"),
        keyframes=MAZE.of("keyframes", "history.csv"),
        refiner=MAZE.of("refiner", "history.csv"),
    output:
        curves="<results>/maze/samples/{variant}/curves.png",
    pathvars:
        job="curves/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("samples"),
    params:
        spec=MAZE.spec("curves", shared="curves"),


use rule maze_stage as rollout_pictures with:
    input:
        rollouts="<results>/maze/rollouts.csv",
        driven=driven([CONFIG.maze.report.rollouts.drawn_task], ".npz"),
    output:
        driven="<results>/maze/rollouts/driven.png",
        compute="<results>/maze/rollouts/compute.png",
        plan="<results>/maze/rollouts/plan.gif",
    pathvars:
        job="rollout_pictures",
    params:
        spec=MAZE.spec("rollout_pictures"),


use rule maze_stage as variants with:
    input:
        metrics="<results>/maze/metrics.csv",
        pictures=report_pictures(),
        artifacts=MAZE.reported_files(),
    output:
        record="<results>/maze/variants.json",
    pathvars:
        job="variants",
    params:
        spec=MAZE.spec("variants"),


use rule maze_stage as report with:
    input:
        record="<results>/maze/variants.json",
        selection=report_selection(),
        pictures=report_pictures(),
        rollouts=included(
            MAZE,
            "rollouts",
            "rollouts.csv",
            "rollouts/driven.png",
            "rollouts/compute.png",
            "rollouts/plan.gif",
        ),
        unseen=included(MAZE, "unseen", "unseen.csv"),
        controls=included(MAZE, "controls", "controls.csv"),
        budget=included(MAZE, "budget", "budget.csv", "budget.png"),
        ablations=report_ablations(),
        diagnostics=included(
            MAZE,
            "diagnostics",
            "diagnostics/base/levels.png",
            "diagnostics/base/indices.png",
            "diagnostics/base/failures.csv",
            "diagnostics/base/failures.png",
        ),
    output:
        report="<results>/maze/report.html",
    pathvars:
        job="report",
    params:
        spec=MAZE.spec("report", shared="report"),
