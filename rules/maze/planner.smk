use rule maze_network as segment_cost with:
    input:
        train=MAZE.of("prepare", "train.npz"),
        val=MAZE.of("prepare", "val.npz"),
        masks_val=MAZE.of("masks", "val.npz"),
    output:
        **checkpoint_in("maze/segment_cost/{variant}"),
        metrics="<results>/maze/segment_cost/{variant}/metrics.json",
    pathvars:
        job="segment_cost/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("segment_cost"),
    params:
        spec=MAZE.spec("segment_cost", CONFIG.maze.threads),


use rule maze_network as selector with:
    input:
        train=MAZE.of("prepare", "train.npz"),
        val=MAZE.of("prepare", "val.npz"),
        masks_val=MAZE.of("masks", "val.npz"),
        segment_cost=MAZE.checkpoint("segment_cost"),
    output:
        **checkpoint_in("maze/selector/{variant}"),
        metrics="<results>/maze/selector/{variant}/metrics.json",
    pathvars:
        job="selector/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("selector"),
    params:
        spec=MAZE.spec("selector", CONFIG.maze.threads),


use rule maze_network as keyframes with:
    input:
        train=MAZE.of("prepare", "train.npz"),
        val=MAZE.of("prepare", "val.npz"),
        masks_train=MAZE.of("masks", "train.npz"),
        masks_val=MAZE.of("masks", "val.npz"),
        segment_cost=MAZE.checkpoint("segment_cost"),
        selector=MAZE.checkpoint("selector"),
    output:
        **checkpoint_in("maze/keyframes/{variant}"),
    pathvars:
        job="keyframes/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("keyframes"),
    params:
        spec=MAZE.spec("keyframes", CONFIG.maze.threads),


use rule maze_network as anchors with:
    input:
        prepared=MAZE.of("prepare", "{split}.npz"),
        masks=MAZE.of("masks", "{split}.npz"),
        segment_cost=MAZE.checkpoint("segment_cost"),
        selector=MAZE.checkpoint("selector"),
        keyframes=MAZE.checkpoint("keyframes"),
    output:
        anchors="<results>/maze/anchors/{variant}/{split}.npz",
    pathvars:
        job="anchors/{variant}.{split}",
    wildcard_constraints:
        variant=MAZE.owners("anchors"),
    params:
        spec=MAZE.spec("anchors", CONFIG.maze.threads),


use rule maze_network as refiner with:
    input:
        train=MAZE.of("prepare", "train.npz"),
        val=MAZE.of("prepare", "val.npz"),
        anchors=MAZE.of("anchors", "train.npz"),
        anchors_val=MAZE.of("anchors", "val.npz"),
        selector=MAZE.checkpoint("selector"),
        keyframes=MAZE.checkpoint("keyframes"),
    output:
        **checkpoint_in("maze/refiner/{variant}"),
    pathvars:
        job="refiner/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("refiner"),
    params:
        spec=MAZE.spec("refiner", CONFIG.maze.threads),


use rule maze_network as sequence_diffusion with:
    input:
        train=MAZE.of("prepare", "train.npz"),
        segment_cost=MAZE.checkpoint("segment_cost"),
    output:
        **checkpoint_in("maze/sequence_diffusion/{variant}"),
    pathvars:
        job="sequence_diffusion/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("sequence_diffusion"),
    params:
        spec=MAZE.spec("sequence_diffusion", CONFIG.maze.threads),


use rule maze_stage as planner with:
    input:
        **{
            name: MAZE.of(name, "model.safetensors", "config.json", "run.json")
            for name in NETWORKS["two_phase"]
        },
        test=MAZE.of("prepare", "test.npz"),
    output:
        **{
            f"{name}_{part}": f"<results>/maze/planner/{{variant}}/{name}/{file}"
            for name in NETWORKS["two_phase"]
            for part, file in CHECKPOINT.items()
            if part != "history"
        },
        planner="<results>/maze/planner/{variant}/planner.json",
    pathvars:
        job="planner/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("samples"),
    params:
        spec=MAZE.spec("planner"),
