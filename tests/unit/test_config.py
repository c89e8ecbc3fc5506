from pathlib import Path

import pytest

from interdiff.errors import InputError
from interdiff.workflow.config import load_config

ROOT = Path(__file__).parents[2]
ROOM = "####\\#OO#\\#OO#\\####"

FEW_STEPS = {"report": {"baselines": {"full_sequence": {"steps": {"mine": 2}}}}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"maze": {"bass": {}}}, r"maze\.bass: unknown key"),
        (
            {"video": {"variants": {"own": {"sampling": {"split": "val"}}}, "report": {"methods": ["base", "own"]}}},
            r"report\.methods: 'own' samples the split val; expected test",
        ),
        (
            {"video": {"report": {"tuning": ["base"]}}},
            r"report\.tuning: 'base' samples the split test; expected val",
        ),
        (
            {"video": {"base": {"selector": {"preview": False}, "sampling": {"start": 0.9}}}},
            r"base\.sampling\.start: expected 1 without selector\.preview",
        ),
        (
            {"video": {"data": {"source": "hub"}, "base": {"backbone": {"clips": "rendered"}}}},
            r"base\.backbone\.clips: expected shards with data\.source: hub",
        ),
        (
            {"video": {"data": {"source": "hub"}, "variants": {"own": {"interpolator": {"clips": "rendered"}}}}},
            r"variants\.own\.interpolator\.clips: expected shards with data\.source: hub",
        ),
        (
            {"video": {"base": {"interpolator": {"method": "lerp", "pretrained": "there"}}}},
            r"base\.interpolator\.pretrained: expected null with method: lerp",
        ),
        (
            {"video": {"base": {"interpolator": {"pretrained": "there"}}}},
            r"base\.interpolator\.pretrained: expected null for a codec of your own",
        ),
        (
            {"video": {"report": {"generated": False}}},
            r"report\.selectors: 'base' looks at noise",
        ),
        (
            {"video": {"base": {"interpolator": {"clips": "rendered", "losses": {"optical_flow": 0.1}}}}},
            r"losses\.optical_flow: expected 0 with clips: rendered",
        ),
        (
            {"video": {"base": {"refiner": {"tuning": {"kind": "lora"}, "training": {"muon_learning_rate": 0.01}}}}},
            r"video\.base\.refiner\.training\.muon_learning_rate: expected null with tuning\.kind lora",
        ),
        (
            {"video": {"base": {"sampling": {"refiner_steps": 5}}}},
            r"base\.sampling\.refiner_steps: 5; expected at most 3, the passes from K=4 over \[4, 8, 12\]",
        ),
        ({"maze": {"base": {"sampling": {"refiner_steps": 9}}}}, r"sampling\.refiner_steps: 9; expected at most"),
        (
            {"video": {"base": {"refiner": {"missing_levels": [0.8, 0.3]}}}},
            r"missing_levels: \[0\.8, 0\.3\]; expected the least first",
        ),
        ({"maze": {"threads": "two"}}, r"maze.threads: .*integer, not 'two'"),
        ({"maze": {"base": {"masks": {"levels": [2, 256]}}}}, r"maze\.base\.masks\.levels: K=256 exceeds T"),
        (
            {"maze": {"base": {"masks": {"levels": [8, 2]}}}},
            r"maze\.base\.masks: levels=\[8, 2\] must increase",
        ),
        (
            {"maze": {"base": {"sampling": {"k": 9}}}},
            r"maze\.base\.sampling\.k: 9 is not among masks\.levels",
        ),
        (
            {"maze": {"base": {"data": {"layouts": ["cave"]}}}},
            r"maze\.base\.data\.layouts: unknown layout 'cave'",
        ),
        (
            {"maze": {"layouts": {"cave": {"map": "####\\####"}}}},
            r"maze\.layouts\.cave\.map: map 'cave': no free cell",
        ),
        (
            {"maze": {"layouts": {"cave": {"map": "#####\\#O#O#\\#####"}}}},
            r"layouts\.cave\.map: .*cannot be reached",
        ),
        (
            {"maze": {"layouts": {"caves": {"map": {"count": 3, "sides": [5]}}}}},
            r"maze\.layouts\.caves\.map\.sides\.1: Field required",
        ),
        (
            {"maze": {"layouts": {"caves": {"map": {"count": 3, "grid": 8}}}}},
            r"maze\.layouts\.caves\.map: grid=8 is smaller than sides=\[5, 12\]",
        ),
        (
            {"maze": {"base": {"refiner": {"training": {"fsdp": True}}}}},
            r"maze\.base\.refiner\.training\.fsdp: unknown key",
        ),
        (
            {"video": {"base": {"keyframes": {"training": {"fsdp": True, "muon_learning_rate": 0.01}}}}},
            r"video\.base\.keyframes\.training\.fsdp: expected false with a muon_learning_rate",
        ),
        ({"maze": {"variants": {"Up": {}}}}, r"maze\.variants\.Up: String should match pattern"),
        ({"maze": {"variants": {"base": {}}}}, r"maze\.variants\.base: this name is taken"),
        ({"maze": {"variants": {"a": {"from": "b"}}}}, r"maze\.variants\.a\.from: unknown variant 'b'"),
        (
            {"maze": {"variants": {"a": {"sampling": {"kk": 1}}}}},
            r"maze\.variants\.a\.sampling\.kk: unknown key",
        ),
        (
            {"maze": {"variants": {"a": {"data": {"frames": 16}}}}},
            r"maze\.variants\.a\.masks\.levels: K=32 exceeds T",
        ),
        ({"maze": {"report": {"variants": ["a"]}}}, r"maze\.report\.variants: unknown variant 'a'"),
        (
            {"maze": {"report": {"rollouts": {"planners": {"two_phase": {"variant": "a"}}}}}},
            r"maze\.report\.rollouts\.planners\.two_phase\.variant: unknown variant 'a'",
        ),
        (
            {"maze": {"report": {"rollouts": {"drawn": {"planner": "best"}}}}},
            r"maze\.report\.rollouts\.drawn\.planner: 'best' is not among two_phase",
        ),
        (
            {"maze": {"report": {"rollouts": {"tasks": {"single": ["umaze"]}}}}},
            r"maze\.report\.rollouts\.drawn_task: 'multi' has no maps among tasks",
        ),
        (
            {"maze": {"report": {"rollouts": {"tasks": {"multi": ["umaze", "cave"]}}}}},
            r"maze\.report\.rollouts\.tasks\.multi: unknown layout 'cave'; expected one of umaze, medium, large, umaze_eval",
        ),
        (
            {"maze": {"layouts": {"umaze": {"map": ROOM}}, "base": {"data": {"layouts": ["umaze"]}}}},
            r"maze\.report\.rollouts\.tasks\.single: layout 'umaze' has no goal 'G' in its map",
        ),
        (
            {
                "maze": {
                    "layouts": {"a": {"map": {"count": 3}}},
                    "base": {"data": {"layouts": ["a"]}},
                    "report": {"rollouts": {"tasks": {"multi": ["a"]}}},
                }
            },
            r"maze\.report\.rollouts\.tasks\.multi: 'a' is a family of mazes",
        ),
        (
            {
                "maze": {
                    "variants": {"a": {"sampling": {"policy": "dp"}}},
                    "report": {"rollouts": {"planners": {"two_phase": {"variant": "a"}}}},
                }
            },
            r"planners\.two_phase\.variant: a takes keyframes from the ground truth",
        ),
        (
            {"maze": {"base": {"refiner": {"network": "huge"}}}},
            r"maze\.base\.refiner\.network: unknown preset 'huge'",
        ),
        ({"video": {"base": {"anchors": {"k": 5}}}}, r"video\.base\.anchors\.k: 5 is not in oracle\.k"),
        ({"video": {"base": {"sampling": {"k": 5}}}}, r"video\.base\.sampling\.k: 5 is not in oracle\.k=\[4, 6, 8\]"),
        (
            {"video": {"variants": {"x": {"sampling": {"k": 5}}}, "report": {"methods": ["base", "x"]}}},
            r"video\.variants\.x\.sampling\.k: 5 is not in oracle\.k",
        ),
        ({"video": {"base": {"refiner": {"levels": [12, 8]}}}}, r"refiner\.levels: \[12, 8\] must increase"),
        (
            {"video": {"base": {"refiner": {"levels": [30]}}}},
            r"refiner\.levels: 30 exceeds T, the 21 frames of latents",
        ),
        (
            {"video": {"base": {"refiner": {"levels": [5, 12]}, "oracle": {"max_gap_factor": 1.0}}}},
            r"video\.base\.refiner\.levels: 5 follows 4, from anchors\.k, too closely",
        ),
        (
            {"video": {"variants": {"x": {"interpolator": {"method": "sinkhorn", "sinkhorn": {"token": 3}}}}}},
            r"video\.variants\.x\.interpolator\.sinkhorn\.token: 3 does not divide the latents' 8 x 8",
        ),
        (
            {
                "video": {
                    "data": {"source": "hub", "codec": {"kind": "wan_vae", "folder": "vae"}},
                    "base": {"straightener": {"shift": {"form": "token", "patch": 8}}},
                }
            },
            r"video\.base\.straightener\.shift\.patch: 8 does not divide the latents' 60 x 104",
        ),
        (
            {"video": {"data": {"clips": {"side": 36}}}},
            r"video\.base\.backbone\.transformer\.patch: 2 does not divide the latents' 9 x 9",
        ),
        (
            {"maze": {"base": {"masks": {"nested_levels": [8, 9]}, "anchors": {"counts": [8]}}}},
            r"maze\.base\.masks\.nested_levels: 9 follows 8 too closely",
        ),
        (
            {"maze": {"base": {"sampling": {"k": 16}}}},
            r"maze\.base\.sampling\.k: 16 is not among keyframes\.counts=\[4, 8\]",
        ),
        (
            {"maze": {"base": {"anchors": {"counts": [4, 16]}}}},
            r"maze\.base\.anchors\.counts: 16 is not among keyframes\.counts",
        ),
        (
            {"maze": {"base": {"data": {"blocks": 3, "val_fraction": 0.6}}}},
            r"maze\.base\.data: blocks=3, .* no block left to train on",
        ),
        (
            {"maze": {"variants": {"a": {"data": {"mode": "windows", "horizon": 130}}}}},
            r"maze\.variants\.a\.window_diffusion\.interval: 4 does not divide data\.horizon=130",
        ),
        (
            {"maze": {"variants": {"full_sequence": {"data": {"layouts": ["umaze"]}}}, **FEW_STEPS}},
            r"maze\.report\.baselines\.full_sequence\.steps: no number for layout 'umaze' or a map of D4RL",
        ),
        (
            {"maze": {"variants": {"hierarchical": {}}}},
            r"maze\.variants\.hierarchical\.segment_fill\.interval: expected that of window_diffusion",
        ),
        (
            {"maze": {"base": {"keyframes": {"mix": {"selector": 0, "uniform": 0.0}}}}},
            r"maze\.base\.keyframes\.mix: expected a share above 0",
        ),
        ({"maze": {"base": {"refiner": {"mix": {}}}}}, r"maze\.base\.refiner\.mix: expected a share above 0"),
        ({"video": {"base": {"keyframes": {"mix": {"random": 0}}}}}, r"keyframes\.mix: expected a share above 0"),
        ({"video": {"base": {"selector": {"path_weight": 0}}}}, r"selector\.path_weight: expected above 0"),
        (
            {"video": {"report": {"methods": ["x"], "exact": "x", "against": "x"}}},
            r"report\.methods: unknown variant 'x'",
        ),
        (
            {
                "video": {
                    "variants": {"x": {"preview": {"layers": 1}}},
                    "report": {"selectors": ["x"]},
                }
            },
            r"report\.selectors: 'x' has a preview of its own",
        ),
        (
            {
                "video": {
                    "variants": {"x": {}},
                    "report": {"methods": ["x"], "exact": "x", "against": "x"},
                }
            },
            r"report\.methods: expected 'base' among them",
        ),
        (
            {"video": {"base": {"anchors": {"start": 1.0}}}},
            r"video\.base\.anchors\.start: expected below 1 but for source generated",
        ),
        (
            {"video": {"base": {"interpolator": {"method": "lerp", "losses": {"endpoint": 0.1}}}}},
            r"video\.base\.interpolator\.losses\.endpoint: expected 0, as losses\.consistency, but",
        ),
        (
            {"maze": {"report": {"quick_ablations": ["k"]}}},
            r"maze\.report\.quick_ablations: 'k' is not among ablations",
        ),
        (
            {"maze": {"base": {"keypoints": {}}, "report": {"rollouts": {"peers_retiming": None}}}},
            r"maze\.base\.keypoints: renamed to keyframes; maze\.report\.rollouts\.peers_retiming: renamed to baselines_",
        ),
        (
            {"maze": {"variants": {"a": {"sampling": {"keypoint_steps": 1}}}, "report": {"peers": {}}}},
            r"maze\.report\.peers: renamed to baselines$",
        ),
        (
            {"maze": {"variants": {"a": {"sampling": {"keypoint_steps": 1}}}}},
            r"maze\.variants\.a\.sampling\.keypoint_steps: renamed to keyframe_steps",
        ),
        (
            {"video": {"teacher": {}, "base": {"interpolator": {"losses": {"teacher": 0.3}}}}},
            r"video\.base\.interpolator\.losses\.teacher: renamed to optical_flow; video\.teacher: renamed to optical_flow",
        ),
        (
            {"video": {"report": {"interpolators": ["base", "teacher"]}}},
            r"video\.report\.interpolators: unknown variant 'teacher'; renamed to 'optical_flow'",
        ),
    ],
)
def test_bad_values_name_their_key(values, message):
    with pytest.raises(InputError, match=message):
        load_config(values)


def test_every_problem_is_listed():
    with pytest.raises(InputError, match=r"results: .*; maze\.base\.anchors\.seed: "):
        load_config({"results": 1, "maze": {"base": {"anchors": {"seed": -1}}}})
