use rule maze_network as samples with:
    input:
        held_out=MAZE.held_out("prepare"),
        masks=MAZE.held_out("masks"),
        segment_cost=MAZE.network("segment_cost"),
        selector=MAZE.network("selector"),
        keyframes=MAZE.network("keyframes"),
        sequence_diffusion=MAZE.network("sequence_diffusion"),
        refiner=MAZE.network("refiner"),
    output:
        samples="<results>/maze/samples/{variant}/samples.npz",
        metrics="<results>/maze/samples/{variant}/metrics.csv",
    pathvars:
        job="samples/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("samples"),
    params:
        spec=MAZE.spec("samples", CONFIG.maze.threads),


use rule maze_stage as metrics with:
    input:
        metrics=report_metrics(),
    output:
        metrics="<results>/maze/metrics.csv",
    pathvars:
        job="metrics",
    params:
        spec=MAZE.spec("metrics"),


use rule maze_stage as selection with:
    input:
        test="<results>/maze/prepared/base/test.npz",
        masks_test="<results>/maze/masks/base/test.npz",
        segment_cost=multiext("<results>/maze/segment_cost/base/", "model.safetensors", "config.json"),
        selector=multiext("<results>/maze/selector/base/", "model.safetensors", "config.json"),
    output:
        selection="<results>/maze/selection.csv",
    pathvars:
        job="selection",
    params:
        spec=MAZE.spec("selection"),


use rule maze_stage as refinement_limit with:
    input:
        held_out=MAZE.held_out("prepare"),
        samples="<results>/maze/samples/{variant}/samples.npz",
    output:
        limit="<results>/maze/refinement_limit/{variant}.csv",
    pathvars:
        job="refinement_limit/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("samples"),
    params:
        spec=MAZE.spec("refinement_limit"),


use rule maze_network as drive with:
    input:
        test=lambda wildcards: planner_data(MAZE.rollout_planners(wildcards.map)),
        networks=planner_networks(CONFIG.maze.report.rollouts.planners),
        full_sequence=baseline_checkpoint("window_diffusion", "full_sequence"),
        few_steps=baseline_checkpoint("window_diffusion", "few_steps"),
        subgoals=baseline_checkpoint("window_diffusion", "hierarchical"),
        segments=baseline_checkpoint("segment_fill", "hierarchical"),
    output:
        scores="<results>/maze/rollouts/{task}/{map}.csv",
        driven="<results>/maze/rollouts/{task}/{map}.npz",
    pathvars:
        job="drive/{task}.{map}",
    wildcard_constraints:
        task="single|multi|heldout",
    params:
        spec=MAZE.spec("drive", CONFIG.maze.threads),


use rule maze_stage as rollouts with:
    input:
        scores=driven(CONFIG.maze.report.rollouts.tasks, ".csv"),
    output:
        rollouts="<results>/maze/rollouts.csv",
    pathvars:
        job="rollouts",
    params:
        spec=MAZE.spec("rollouts"),


use rule maze_network as unseen with:
    input:
        test=lambda wildcards: planner_data(MAZE.unseen_planners()),
        networks=planner_networks(CONFIG.maze.report.unseen.asked()),
    output:
        unseen="<results>/maze/unseen.csv",
    pathvars:
        job="unseen",
    params:
        spec=MAZE.spec("unseen", CONFIG.maze.threads),


use rule maze_stage as ablations with:
    input:
        samples=ablation_samples,
    output:
        ablations="<results>/maze/{table}.csv",
    pathvars:
        job="{table}",
    wildcard_constraints:
        table="ablations|quick_ablations",
    params:
        spec=MAZE.spec("ablations"),


use rule maze_network as budget with:
    input:
        test=planner_data(MAZE.budget_planners()),
        masks_test=MAZE.budget_masks(),
        networks=planner_networks(MAZE.budget_planners()),
    output:
        budget="<results>/maze/budget.csv",
        picture="<results>/maze/budget.png",
    pathvars:
        job="budget",
    params:
        spec=MAZE.spec("budget", CONFIG.maze.threads),


use rule maze_stage as controls with:
    input:
        samples=control_samples("samples.npz"),
        metrics=control_samples("metrics.csv"),
    output:
        controls="<results>/maze/controls.csv",
    pathvars:
        job="controls",
    params:
        spec=MAZE.spec("controls"),


use rule maze_network as diagnostics with:
    input:
        held_out=MAZE.held_out("prepare"),
        masks=MAZE.held_out("masks"),
        segment_cost=MAZE.checkpoint("segment_cost"),
        selector=MAZE.checkpoint("selector"),
        keyframes=MAZE.checkpoint("keyframes"),
        refiner=MAZE.checkpoint("refiner"),
        samples=MAZE.of("samples", "samples.npz"),
    output:
        levels="<results>/maze/diagnostics/{variant}/levels.csv",
        levels_picture="<results>/maze/diagnostics/{variant}/levels.png",
        indices="<results>/maze/diagnostics/{variant}/indices.csv",
        indices_picture="<results>/maze/diagnostics/{variant}/indices.png",
        failures="<results>/maze/diagnostics/{variant}/failures.csv",
        failures_picture="<results>/maze/diagnostics/{variant}/failures.png",
    pathvars:
        job="diagnostics/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("samples"),
    params:
        spec=MAZE.spec("diagnostics", CONFIG.maze.threads),
