"""A member of a population against the same network alone, and against a plain loop over torch.optim."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from neural_arith_bench.populations.optimisers import Adam, Averaged, RMSProp
from neural_arith_bench.populations.population import Population
from neural_arith_bench.populations.schedules import (
    AuthorPenalty,
    Constant,
    During,
    Falling,
    Lasso,
    Penalty,
    Ramp,
    Restart,
    Tenfold,
)
from neural_arith_bench.populations.stacking import Stack
from neural_arith_bench.populations.stepping import Recipe
from torch import nn

from neural_arith.errors import DataError, OptionError
from neural_arith.layers import (
    GNALU,
    INALU,
    NAC,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    Dense,
    GatedNAUNMU,
    LiftedNPU,
    ModifiedRealNPU,
    NACMul,
    NACSigma,
    NaiveNPU,
    RealNaiveNPU,
    RealNPU,
    StochasticNMU,
)

KINDS = [
    NMU,
    RealNPU,
    NPU,
    INALU,
    NALU,
    NRU,
    NMRU,
    ModifiedRealNPU,
    GNALU,
    NACMul,
    NACSigma,
    NACNMU,
    GatedNAUNMU,
    Dense,
]
OTHERS = [NAC, NAU, NaiveNPU, RealNaiveNPU, LiftedNPU]
SEEDS = (3, 1, 4)


def network(seed, kind: Any = NMU, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    first = NAU(5, 2, clip=True, dtype=dtype, generator=generator)
    return nn.Sequential(first, kind(2, 1, dtype=dtype, generator=generator))


def redraw(net, generator):
    net[1].restart_parameters(generator)


def batches(seeds, samples=16, low=-1.0, dtype=torch.float64):
    """One stream of batches per seed, a function of the step alone."""

    def draw(step):
        x = torch.stack(
            [
                torch.from_numpy(np.random.default_rng((seed, step)).uniform(low, 2.0, (samples, 5))).to(dtype)
                for seed in seeds
            ]
        )
        return x, x[..., :2].sum(-1, keepdim=True) * x[..., 1:4].sum(-1, keepdim=True)

    return draw


def flat(module):
    return nn.utils.parameters_to_vector(module.parameters()).detach()


def trained(seeds, kind, recipe, steps=30, **options):
    population = Population([network(seed, kind) for seed in seeds], recipe, seeds=seeds)
    return population, population.train(batches(seeds), steps, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimiser", [Adam(), RMSProp()])
def test_member_follows_the_plain_loop(kind, optimiser):
    ramp, rate = Ramp(0.5, 5, 20), 0.02
    recipe = Recipe(Constant(rate), optimiser, [Penalty(AuthorPenalty(kind), ramp)], clip_value=0.3, clip_norm=0.6)
    population, history = trained(SEEDS, kind, recipe, every=1)
    # RMSProp's first step is ten times the sign of the gradient: rounding decides where that is nearly zero.
    close = 1e-9 if isinstance(optimiser, Adam) else 1e-5
    for member, seed in enumerate(SEEDS):
        alone: Any = network(seed, kind)
        unit = alone[1]
        chosen = torch.optim.Adam if isinstance(optimiser, Adam) else torch.optim.RMSprop
        stepper = chosen(alone.parameters(), lr=rate)
        draw = batches([seed])
        for step in range(30):
            x, y = (v[0] for v in draw(step))
            stepper.zero_grad()
            error = (alone(x) - y).square().mean()
            (error + float(ramp(step)) * unit.penalty()).backward()
            nn.utils.clip_grad_value_(alone.parameters(), 0.3)
            nn.utils.clip_grad_norm_(alone.parameters(), 0.6)
            stepper.step()
            for layer in alone:
                layer.project_()
            assert history.values["train"][step + 1, member].item() == pytest.approx(error.item(), rel=close)
        assert torch.allclose(flat(population.network(member)), flat(alone), rtol=close, atol=close)


@pytest.mark.parametrize("kind", KINDS)
def test_member_is_itself_in_any_company_and_beside_a_diverged_one(kind):
    recipe = Recipe(Constant((0.02, 0.02, 0.01)), penalties=[Penalty(Lasso(), Constant((0.1, 0.0, 0.1)))])
    together, full = trained(SEEDS, kind, recipe, every=10)
    networks = [network(seed, kind) for seed in SEEDS]
    with torch.no_grad():
        next(iter(networks[1].parameters())).fill_(math.nan)
    company = Population(networks, recipe)
    beside = company.train(batches(SEEDS), 30, every=10)
    assert company.frozen_at.tolist() == [-1, 0, -1]
    for member, rate, weight in ((0, 0.02, 0.1), (2, 0.01, 0.1)):
        assert torch.equal(flat(company.network(member)), flat(together.network(member)))
        assert torch.equal(beside.values["train"][1:, member], full.values["train"][1:, member])
        single = Recipe(Constant(rate), penalties=[Penalty(Lasso(), Constant(weight))])
        alone, _ = trained(SEEDS[member : member + 1], kind, single)
        assert torch.allclose(flat(alone.network(0)), flat(together.network(member)), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("noise", [(1.0, 5.0), "batch"])
def test_noise_follows_from_the_seeds_and_is_each_members_own(noise, tmp_path):
    def make(kept=None):
        nets = [nn.Sequential(NAU(5, 2), StochasticNMU(2, 1, noise=noise)).double() for _ in SEEDS]
        for net in nets:
            nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(nets[0].parameters()), net.parameters())
            if kept is not None:
                nn.utils.vector_to_parameters(kept, net.parameters())
        return Population(nets, seeds=SEEDS)

    same = batches((1, 1, 1))
    first = make()
    start = flat(first.network(0))
    first.train(same, 5, save=tmp_path / "noisy.pt")
    assert len({tuple(row) for row in first.stack.parameters.tolist()}) == len(SEEDS)
    second = make(start)
    second.load(tmp_path / "noisy.pt")
    torch.rand(7)  # what else draws has no part in it
    straight = make(start)
    for population in (first, second, straight):
        population.train(same, 9)
    assert torch.equal(first.stack.parameters, second.stack.parameters)
    assert torch.equal(first.stack.parameters, straight.stack.parameters)
    ends = make(start)
    with torch.no_grad():
        ends.stack.parameters[1].fill_(math.nan)
    ends.train(same, 9)
    assert torch.equal(ends.stack.parameters[::2], straight.stack.parameters[::2])
    assert torch.equal(straight.errors(*same(0)), straight.errors(*same(0)))


def test_member_that_diverges_on_the_way_keeps_its_last_finite_parameters():
    seeds = (0, 1)
    good = batches(seeds)

    def draw(step):
        x, y = good(step)
        if step == 7:
            y[1, 3] = math.inf
        return x, y

    population = Population([network(seed) for seed in seeds])
    reference = Population([network(seed) for seed in seeds])
    reference.train(good, 7)
    stopped = flat(reference.network(1))
    reference.train(good, 20)
    population.train(draw, 20)
    assert population.frozen_at.tolist() == [-1, 7]
    assert torch.equal(flat(population.network(1)), stopped)
    assert torch.equal(flat(population.network(0)), flat(reference.network(0)))


class Stream:
    """A source with a state of its own: a generator."""

    def __init__(self, members):
        self.members = members
        self.generator = torch.Generator().manual_seed(5)

    def __call__(self, step):
        x = torch.rand(self.members, 8, 5, generator=self.generator, dtype=torch.float64)
        return x, x[..., :1] + 3

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def test_resumed_run_is_the_run_without_interruption(tmp_path):
    recipe = Recipe(
        Constant(0.001),
        penalties=[Penalty(Lasso(), Tenfold(1e-6, 1e-3, 10))],
        restart=Restart(redraw, every=10, patience=15, above=0.1),
    )

    def make():
        return Population([network(seed, INALU) for seed in SEEDS], recipe, seeds=SEEDS), Stream(len(SEEDS))

    x, y = batches([9])(0)
    tests = {"validation": (x[0], y[0])}
    whole, source = make()
    history = whole.train(source, 60, tests=tests, every=10)
    assert whole.restarts.sum() > 0
    first, source = make()
    first.train(source, 30, tests=tests, every=10, save=tmp_path / "state.pt")
    second, source = make()
    second.load(tmp_path / "state.pt", source)
    assert second.step == 30
    again = second.train(source, 60, tests=tests, every=10)
    assert torch.equal(second.stack.parameters, whole.stack.parameters)
    assert torch.equal(second.restarts, whole.restarts)
    assert again.steps.tolist() == history.steps.tolist() == [0, 10, 20, 30, 40, 50, 60]
    for name, values in history.values.items():
        assert torch.equal(again.values[name], values) or name == "train"
        assert torch.equal(again.values[name][1:], values[1:])
    with pytest.raises(OptionError, match="made with seeds="):
        Population([network(seed, INALU) for seed in SEEDS], recipe).load(tmp_path / "state.pt")


def test_restart_looks_at_one_member_only():
    rule = Restart(redraw, every=10, patience=15, above=0.1)
    recipe = Recipe(Constant(0.05), restart=rule)
    together, _ = trained(SEEDS, INALU, recipe, steps=50)
    counts = together.restarts.tolist()
    assert max(counts) > 0
    assert len({tuple(row) for row in together.stack.parameters.tolist()}) == len(SEEDS)
    for member, seed in enumerate(SEEDS):
        alone, _ = trained([seed], INALU, recipe, steps=50)
        assert alone.restarts.tolist() == [counts[member]]
        assert torch.allclose(flat(alone.network(0)), flat(together.network(member)), rtol=1e-9, atol=1e-11)


def test_restart_rule_by_hand():
    rule = Restart(lambda *_: None, patience=4, above=1.0)
    assert not rule.stalled(torch.tensor([5.0, 5.0, 5.0, 5.0]))  # not more than patience
    assert rule.stalled(torch.tensor([5.0, 5.0, 5.0, 5.0, 5.0]))  # level
    assert not rule.stalled(torch.tensor([9.0, 8.0, 3.0, 2.0, 2.0]))  # falls
    assert not rule.stalled(torch.tensor([0.5, 0.5, 0.5, 0.5, 0.5]))  # small enough
    assert rule.stalled(torch.tensor([3.0, 3.0, 2.0, 4.0, 2.0]))  # 3 <= 8/3 + 0.94


def test_schedules_by_hand():
    ramp = Ramp(10.0, 1e6, 2e6)
    assert [float(ramp(step)) for step in (0, 1_000_000, 1_250_000, 2_000_000, 5_000_000)] == [0, 0, 2.5, 10, 10]
    tenfold = Tenfold(1e-5, 1e-4, 10_000)
    assert [float(tenfold(step)) for step in (0, 9_999, 10_000, 30_000)] == pytest.approx([1e-5, 1e-5, 1e-4, 1e-4])
    assert Ramp((10.0, 1.0), (0, 10), (10, 20))(5).tolist() == [5.0, 0.0]
    assert Tenfold((1e-7, 1e-9), 1e-7)(10_000) == pytest.approx([1e-7, 1e-8])
    falling = Falling((0.2, 0.1), 100, 300)
    assert falling(50) == pytest.approx([0.2, 0.1])
    assert falling(200) == pytest.approx([0.1001, 0.05005])
    assert falling(400) == pytest.approx([2e-4, 1e-4])
    assert [float(During(3.0, 2, 4)(step)) for step in range(6)] == [0, 0, 3, 3, 0, 0]


def test_conditional_penalty_counts_for_members_below_the_bound():
    """iNALU's rule: from a step on, and only while the own loss is below a bound."""
    penalty = Penalty(Lasso(), Constant(0.5), after=3, below=2.0)
    recipe = Recipe(Constant(0.01), penalties=[penalty])
    nets = [NAU.from_weights([[0.5, 0.5]]), NAU.from_weights([[3.0, 3.0]])]
    population = Population(nets, recipe)
    x, y = torch.ones(1, 2, dtype=torch.float64), torch.full((1, 1), 2.0, dtype=torch.float64)
    population.train(lambda step: (x, y), 3)
    before = population.stack.parameters.clone()
    plain = Population(nets, Recipe(Constant(0.01)))
    plain.train(lambda step: (x, y), 3)
    assert torch.equal(before, plain.stack.parameters)
    population.train(lambda step: (x, y), 6)
    plain.train(lambda step: (x, y), 6)
    assert not torch.equal(population.stack.parameters[0], plain.stack.parameters[0])  # error 1: penalised
    assert torch.equal(population.stack.parameters[1], plain.stack.parameters[1])  # error 16: not


def test_masked_and_fixed_weights_stay():
    nets = [network(seed) for seed in SEEDS]
    for net in nets:
        layer = net[0]
        assert isinstance(layer, NAU)
        layer.masks["weight"][:, 4] = False
    population = Population(nets, Recipe(Constant(0.1)))
    population.train(batches(SEEDS), 5)
    for member, net in enumerate(nets):
        found, start = population.network(member).get_submodule("0"), net[0]
        assert isinstance(found, NAU)
        assert isinstance(start, NAU)
        assert torch.equal(found.weight[:, 4], start.weight[:, 4])
        assert not torch.equal(found.weight[:, :4], start.weight[:, :4])
        assert found.effective_weight()[:, 4].eq(0).all()


def test_errors_and_measures_are_those_of_the_networks():
    population = Population([network(seed) for seed in SEEDS])
    x, y = batches(SEEDS, samples=2_345)(0)
    found = population.errors(x, y)
    history = population.train(batches(SEEDS), 4, tests={"test": (x[0], y[0])}, measures={"size": Lasso()}, every=3)
    assert history.steps.tolist() == [0, 3, 4]
    for member in range(len(SEEDS)):
        expected = (network(SEEDS[member])(x[member]) - y[member]).square().mean()
        assert found[member].item() == pytest.approx(expected.item(), rel=1e-12)
        last = population.network(member)
        assert history.values["test"][-1, member].item() == pytest.approx((last(x[0]) - y[0]).square().mean().item())
        assert history.values["size"][-1, member].item() == pytest.approx(flat(last).abs().sum().item())


def test_other_modules_go_through_vmap():
    """A network with a part that knows nothing of members trains like one that does."""

    class Plain(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    direct, wrapped = (Population(nets) for nets in ([network(s) for s in SEEDS], [Plain(network(s)) for s in SEEDS]))
    for population in (direct, wrapped):
        population.train(batches(SEEDS), 20)
    assert torch.allclose(direct.stack.parameters, wrapped.stack.parameters, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", [*KINDS, *OTHERS, StochasticNMU])
def test_stack_is_each_of_its_networks(kind):
    generator = torch.Generator().manual_seed(0)
    layers = [kind(3, 2, dtype=torch.float64, generator=generator) for _ in range(4)]
    layers[2].masks[next(iter(layers[2].masks))][..., 1] = False
    x = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    x[1, 2, 0] = 0
    stack = Stack(layers)
    assert layers[0].takes_population
    stack_output = stack(x, training=not stack.noisy)
    for layer in layers:
        layer.train(not stack.noisy)
    alone = torch.stack([layer(each) for layer, each in zip(layers, x, strict=True)])
    assert torch.allclose(stack_output, alone, rtol=1e-12, atol=1e-14, equal_nan=True)
    for measure in (AuthorPenalty(kind), Lasso()):
        assert torch.allclose(stack.measure(measure), torch.stack([measure(layer) for layer in layers]), rtol=1e-13)
    for member, layer in enumerate(layers):
        assert torch.equal(stack.network(member).train(not stack.noisy)(x[member]), layer(x[member]))
        assert torch.equal(flat(stack.network(member)), flat(layer))


def test_wrong_use_is_told():
    with pytest.raises(OptionError, match="at least one"):
        Population([])
    with pytest.raises(OptionError, match="network 1 has"):
        Population([NAU(2, 1), NAU(3, 1)])
    population = Population([NAU(2, 1), NAU(2, 1)])
    with pytest.raises(DataError, match="with 2 members"):
        population.train(lambda step: (torch.ones(3, 4, 2), torch.ones(3, 4, 1)), 1)
    with pytest.raises(DataError, match="outputs of shape"):
        population.train(lambda step: (torch.ones(4, 2), torch.ones(4, 3)), 1)


def test_progress_is_called_at_each_record():
    seen = []
    Population([network(0)]).train(batches([0]), 25, every=10, progress=seen.append)
    assert seen == [10, 20, 25]


def test_an_averaged_member_trains_the_same_and_is_judged_by_the_running_mean():
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    batch = x, x.sum(1, keepdim=True)

    def nets():
        return [nn.Linear(3, 1, bias=False, dtype=torch.float32).requires_grad_() for _ in range(2)]

    def same(other):
        found = nets()
        for one, two in zip(found, other, strict=True):
            one.load_state_dict(two.state_dict())
        return found

    start = nets()
    plain = Population(same(start), Recipe(rate=Constant(0.1)))
    averaged = Population(same(start), Recipe(rate=Constant(0.1), optimiser=Averaged(Adam(), decay=0.75)))
    seen = []
    plain.train(lambda step: batch, 6, every=1, progress=lambda step: seen.append(plain.stack.parameters.clone()))
    history = averaged.train(
        lambda step: batch, 6, every=6, measures={"first": lambda net: next(net.parameters())[0, 0]}
    )
    assert torch.equal(averaged.stack.parameters, plain.stack.parameters)
    mean = torch.stack([nn.utils.parameters_to_vector(net.parameters()).detach() for net in start])
    for parameters in seen:
        mean = 0.75 * mean + 0.25 * parameters
    assert torch.allclose(history.values["first"][-1].float(), mean[:, 0], atol=1e-6)


class _Own(nn.Module):
    """A linear map that adds the square of its weight to its loss, in training."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[value]]))

    def forward(self, x):
        out = x @ self.weight
        return (out, self.weight.square().sum()) if self.training else out


def test_what_a_network_adds_to_its_loss_is_its_own():
    x, y = torch.ones(4, 1), torch.zeros(4, 1)
    population = Population([_Own(1.0), _Own(3.0)], Recipe(rate=Constant(0.5), optimiser=_Plain()))
    history = population.train(lambda step: (x, y), 1, tests={"test": (x, y)})
    # each of the two squares has the slope 2 w: w - 0.5 * 4 w = -w
    assert population.stack.parameters.flatten().tolist() == [-1.0, -3.0]
    assert history.values["train"][-1].tolist() == [1.0, 9.0]
    assert history.values["test"].tolist() == [[1.0, 9.0], [1.0, 9.0]]


class _Plain:
    """Gradient descent."""

    def begin(self, parameters):
        return {}

    def step_(self, parameters, gradient, state, rate):
        parameters.sub_(gradient * rate.to(parameters.dtype))
