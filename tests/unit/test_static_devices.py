"""Tensors are made on a device that is named, and random numbers on the CPU: what only a GPU would show, read off the code."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = sorted(path.relative_to(ROOT) for top in ("interdiff", "stages") for path in (ROOT / top).rglob("*.py"))
DRAWS, CONSTANT = Path("interdiff/learning/draws.py"), Path("interdiff/learning/networks.py")
COMPUTES = ("learning", "keyframes", "two_phase", "maze/planner", "maze/baselines", *(
    f"video/{folder}" for folder in ("backbone", "codec", "interpolators", "planner")
))  # fmt: skip
RANDOM = {"rand", "randn", "randint", "randperm", "multinomial", "normal", "bernoulli", "poisson"}
RANDOM |= {f"{name}_like" for name in ("rand", "randn", "randint")}
IN_PLACE = {"exponential_", "normal_", "uniform_", "random_", "bernoulli_", "cauchy_", "log_normal_", "geometric_"}
FACTORIES = {"zeros", "ones", "empty", "full", "arange", "tensor", "linspace", "eye", "triu_indices", "tril_indices"}
MOVED = {"to", "tolist", "item"}


def calls(path):
    """Calls of attributes in a file, each with the nodes around it, outermost first."""

    def walk(node, around):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, around
        for child in ast.iter_child_nodes(node):
            yield from walk(child, [*around, node])

    yield from walk(ast.parse((ROOT / path).read_text()), [])


def of_torch(call):
    return isinstance(call.func.value, ast.Name) and call.func.value.id == "torch"


def initial(call, around):
    """Weights and buffers of a new module: they follow it to its device."""
    inside = any(isinstance(node, ast.FunctionDef) and node.name == "__init__" for node in around)
    return inside or ast.unparse(call.func).startswith("nn.init")


def moved(around):
    """Whether the result goes elsewhere by a method of its own, in the same expression."""
    return any(isinstance(node, ast.Attribute) and node.attr in MOVED for node in around)


def on_cpu(call):
    return any(keyword.arg == "device" and ast.unparse(keyword.value) == "'cpu'" for keyword in call.keywords)


def faults(path):
    computes = str(path.parent.relative_to(path.parts[0])).startswith(COMPUTES)
    for call, around in calls(path):
        name = call.func.attr
        if initial(call, around) or path == DRAWS:
            continue
        if (of_torch(call) and name in RANDOM) or name in IN_PLACE:
            yield f"{path}:{call.lineno}: torch.{name}: random numbers come from interdiff.learning.draws"
        copied = of_torch(call) and name == "tensor" and not on_cpu(call)
        if computes and path != CONSTANT and (name == "new_tensor" or copied) and not moved(around):
            yield f"{path}:{call.lineno}: {name}: copied, and waited for, at every call; expected networks.constant"
        named = any(keyword.arg == "device" for keyword in call.keywords)
        if of_torch(call) and name in FACTORIES and computes and not (named or moved(around)):
            yield f"{path}:{call.lineno}: torch.{name}: expected a device"


def test_no_tensor_is_made_wherever_it_happens_to_be():
    assert not [fault for path in CODE for fault in faults(path)]


def test_the_check_finds_what_it_looks_for(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = Path("interdiff/learning/bad.py")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(
        "import torch\nx = torch.zeros(3)\ny = torch.zeros(3).to(x)\nz = torch.zeros(3, device=x.device)\n"
        "i = torch.multinomial(x, 1)\nz.normal_()\na = torch.tensor([1.0], device=x.device)\nb = x.new_tensor([1.0])\n"
        "c = torch.tensor([1.0], device='cpu')\n"
    )
    assert [fault.split(":")[1] for fault in faults(path)] == ["2", "5", "6", "7", "8"]
