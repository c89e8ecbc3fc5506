use rule maze_network as window_diffusion with:
    input:
        train=MAZE.of("prepare", "train.npz"),
    output:
        **checkpoint_in("maze/window_diffusion/{variant}"),
    pathvars:
        job="window_diffusion/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("window_diffusion"),
    params:
        spec=MAZE.spec("window_diffusion", CONFIG.maze.threads),


use rule maze_network as segment_fill with:
    input:
        train=MAZE.of("prepare", "train.npz"),
    output:
        **checkpoint_in("maze/segment_fill/{variant}"),
    pathvars:
        job="segment_fill/{variant}",
    wildcard_constraints:
        variant=MAZE.owners("segment_fill"),
    params:
        spec=MAZE.spec("segment_fill", CONFIG.maze.threads),
