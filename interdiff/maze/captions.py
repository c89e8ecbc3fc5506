"""What report.html says of the maze's tables and pictures, by section and file."""

SECTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "selection": (
        "Ways to choose keyframes",
        {
            "selection.csv": "Cost of the chosen keyframes over that of the best ones, by layout and number of keyframes K; "
            "from selection.csv. limit: what any selector that sees the condition alone can be expected to reach."
        },
    ),
    "rollouts": (
        "Planners in the simulator",
        {
            "rollouts.csv": "Every planner drives the ball from the same starts to the same goals with the same tracker; from "
            "rollouts.csv. score: D4RL's normalised score with its standard error; success: share of episodes that touch the "
            "goal; first_reach: their first step there; plan_ms: median time of a plan at batch 1; token_evals: tokens "
            "through all networks per plan. name/tracker: the same plans with another tracker.",
            "driven.png": "What each planner drove in the first episodes of a task, not picked; a row per layout. Dot: start. "
            "Star: goal.",
            "compute.png": "Score against token evaluations per plan, means over layouts with their standard errors. Lines: "
            "policies that see the map and the state at every step.",
            "plan.gif": "One plan being made and driven: keypoints of phase 1, interpolated, refined by phase 2, then driven.",
        },
    ),
    "ablations": (
        "One change at a time",
        {
            "ablations.csv": "Means over all layouts' held-out sequences with standard errors; in brackets the paired "
            "difference from base. From ablations.csv, which has them by layout too."
        },
    ),
    "diagnostics": (
        "What goes on in the plans",
        {
            "levels.png": "Phase 2 at each level of nested masks: largest gap between anchors (frames), root mean square move "
            "of a point (cells), and squared error before and after one pass, with exact anchors and with phase 1's.",
            "indices.png": "How often each frame is chosen as a keyframe, by the selector and by the exact optimum.",
            "failures.png": "The worst plans of the variant: those through walls first, then those farthest from the "
            "demonstration. Why each is bad stands in the table.",
            "failures.csv": "The worst plans, in the picture's order.",
        },
    ),
}
"""Section -> title, and caption by file name; a section is shown if the report is given its files."""
