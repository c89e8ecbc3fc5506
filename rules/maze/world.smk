use rule maze_stage as demonstrations with:
    input:
        source=layout_source,
    output:
        demonstrations="<results>/maze/demonstrations/{layout}.hdf5",
    pathvars:
        job="demonstrations/{layout}",
    conda:
        "../../envs/data.yaml"
    params:
        spec=MAZE.spec("demonstrations"),


use rule maze_network as improved with:
    input:
        test=lambda wildcards: MAZE.files("prepare", wildcards.variant, "test.npz"),
        networks=lambda wildcards: MAZE.planning_files([wildcards.variant]),
    output:
        demonstrations="<results>/maze/improved/{variant}/{layout}.hdf5",
    pathvars:
        job="improved/{variant}.{layout}",
    wildcard_constraints:
        variant="|".join(MAZE.resolved.settings),
    params:
        spec=MAZE.spec("improved", CONFIG.maze.threads),


use rule maze_stage as prepare with:
    input:
        demonstrations=layout_demonstrations,
    output:
        train="<results>/maze/prepared/{variant}/train.npz",
        val="<results>/maze/prepared/{variant}/val.npz",
        test="<results>/maze/prepared/{variant}/test.npz",
        counts="<results>/maze/prepared/{variant}/counts.csv",
    pathvars:
        job="prepare/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("prepare"),
    conda:
        "../../envs/data.yaml"
    params:
        spec=MAZE.spec("prepare"),


use rule maze_stage as masks with:
    input:
        prepared=MAZE.of("prepare", "{split}.npz"),
    output:
        masks="<results>/maze/masks/{variant}/{split}.npz",
    pathvars:
        job="masks/{variant}.{split}",
    wildcard_constraints:
        variant=MAZE.owners("masks"),
    threads: CONFIG.maze.threads
    params:
        spec=MAZE.spec("masks", CONFIG.maze.threads),
