"""Re-rolling rejected slots: new selections under the same counts, rules and uniqueness."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cauldron.domain.collection import Collection
from cauldron.domain.errors import Infeasible, Invalid, NotFound, Refused
from cauldron.domain.plan import Plan
from cauldron.domain.planning import Ground
from cauldron.domain.quotas import Counts, Demand, make_demand
from cauldron.domain.repair import Repair
from cauldron.domain.rows import Codes, Generator, stream
from cauldron.domain.space import Mask, Rows
from cauldron.domain.weighted import Shortfall, weighted_draw

ROUNDS = 1_500


def reroll(
    collection: Collection, plan: Plan, *, slots: Sequence[int], frozen: Sequence[int], seed: str
) -> Plan:
    """The plan with new selections in ``slots``, each unlike every selection ever rejected.

    Exact counts stay as they are, weights are drawn anew by their law, and sub-collections
    and images in order keep their slots where possible. Where exact counts leave no
    other way, rows that are neither in ``slots`` nor ``frozen`` exchange options with the
    rejected ones: compare with :func:`changed_slots`.

    Args:
        slots: 0-based slots to renew.
        frozen: slots that must stay as they are; one-of-ones always do.
        seed: any text; the same call gives the same plan.

    Raises:
        NotFound: a slot outside the plan.
        Invalid: a slot that is both to be renewed and frozen, or a one-of-one.
        Refused: the collection has changed since the plan was made.
        Infeasible: nothing else fits.
    """
    if plan.collection_hash != collection.version_hash:
        raise Refused("the plan belongs to another version of the collection")
    wanted = _checked(plan, slots, frozen)
    if not wanted:
        return plan
    ground = Ground(collection=collection)
    others = np.array([slot not in plan.ones for slot in range(plan.supply)])
    number = np.cumsum(others) - 1  # slot -> row without one-of-ones
    rejected = np.zeros(int(others.sum()), dtype=bool)
    rejected[number[wanted]] = True
    kept = np.zeros(len(rejected), dtype=bool)
    kept[[int(number[slot]) for slot in frozen if slot not in plan.ones]] = True
    retired = np.concatenate([plan.retired, plan.rows[wanted]]) if len(plan.retired) else plan.rows[wanted]
    task = _Task(
        ground=ground,
        rows=np.ascontiguousarray(plan.rows[others].T),
        rejected=rejected,
        frozen=kept,
        forbidden=np.union1d(ground.forbidden, ground.coder.codes(np.ascontiguousarray(retired.T))),
        random=stream("reroll", plan.plan_hash, seed, *wanted),
    )
    table = plan.rows.copy()
    table[others] = task.run().T
    rolls = {**plan.rolls, **{slot: plan.rolls.get(slot, 0) + 1 for slot in wanted}}
    return replace(plan, rows=table, rolls=rolls, retired=retired)


def with_rows_of(plan: Plan, others: Sequence[tuple[Plan, range]]) -> Plan:
    """``plan`` as others have revised it in slots that are theirs: what they drew is taken, what they
    turned down stays retired.

    Args:
        others: revisions of the same plan, each with the 0-based slots it speaks for.
    """
    rows, rolls, retired = plan.rows.copy(), dict(plan.rolls), [plan.retired] if len(plan.retired) else []
    for other, own in others:
        rows[own.start : own.stop] = other.rows[own.start : own.stop]
        rolls.update({slot: count for slot, count in other.rolls.items() if slot in own})
        if len(other.retired):
            retired.append(other.retired)
    kept = np.unique(np.concatenate(retired), axis=0) if retired else plan.retired
    return replace(plan, rows=rows, rolls=rolls, retired=kept) if others else plan


def changed_slots(before: Plan, after: Plan) -> list[int]:
    """Slots whose selection differs between two plans of one collection, ascending."""
    differs = (before.rows != after.rows).any(axis=1)
    rolled = [slot for slot, count in after.rolls.items() if before.rolls.get(slot, 0) != count]
    differs[rolled] = True
    return np.flatnonzero(differs).tolist()


def _checked(plan: Plan, slots: Sequence[int], frozen: Sequence[int]) -> list[int]:
    for slot in [*slots, *frozen]:
        if not 0 <= slot < plan.supply:
            raise NotFound(f"the plan has no slot {slot}; it has {plan.supply}", slot=slot)
    both = sorted(set(slots) & set(frozen))
    if both:
        raise Invalid(f"slot {both[0]} is to be renewed and frozen at once", slot=both[0])
    ones = sorted(set(slots) & set(plan.ones))
    if ones:
        raise Invalid(f"slot {ones[0]} is a one-of-one and cannot be re-rolled", slot=ones[0])
    return sorted(set(slots))


@dataclass(slots=True, kw_only=True)
class _Task:
    """One re-roll over the rows without one-of-ones."""

    ground: Ground
    rows: Rows
    rejected: Mask
    frozen: Mask
    forbidden: Codes  # sorted
    random: Generator

    def run(self) -> Rows:
        demand = self._demand()
        space = self.ground.space
        rows: Rows | None = None
        if not [c for c in demand.exact if c != space.sub]:
            rows = self._drawn()
        if rows is None:
            rows = self._exchanged(demand)
        return self._numbered(rows)

    def _demand(self) -> Demand:
        """The exact columns, with the counts the rows have now."""
        space = self.ground.space
        amount = self.rows.shape[1]
        exact = make_demand(space, amount=amount, used=self.ground.used).exact
        counts: dict[int, Counts] = {
            c: np.bincount(self.rows[c], minlength=space.columns[c].size).astype(np.int64) for c in exact
        }
        return Demand(amount=amount, counts=counts)

    def _drawn(self) -> Rows | None:
        """By weight alone: new rows by the law, nobody else is touched. None: nothing is left."""
        space, coder = self.ground.space, self.ground.coder
        taken = np.union1d(coder.codes(self.rows), self.forbidden) if coder.columns else self.forbidden[:0]
        draw = weighted_draw(space, random=self.random, taken=taken, coder=coder)
        rows = self.rows.copy()
        subs = rows[space.sub] if space.sub >= 0 else np.zeros(rows.shape[1], dtype=np.int32)
        for sub in space.subs:
            places = np.flatnonzero(self.rejected & (subs == sub))
            if not len(places):
                continue
            try:
                fresh = draw.rows(len(places), sub=sub)
            except Shortfall:
                return None
            self._put(rows, places, fresh)
        return rows

    def _put(self, rows: Rows, places: npt.NDArray[np.int64], fresh: Rows) -> None:
        for column in self.ground.space.core:
            rows[column, places] = fresh[column]

    def _exchanged(self, demand: Demand) -> Rows:
        ground = self.ground
        if not ground.coder.columns:
            return self.rows  # nothing is compared: the new seed is all that changes
        repair = Repair(
            space=ground.space,
            demand=demand,
            coder=ground.coder,
            rows=self.rows.copy(),
            random=self.random,
            forbidden=self.forbidden,
            frozen=self.frozen,
            alone=20,
        )
        left = repair.run(rounds=ROUNDS)
        if left:
            many = int(self.rejected.sum())
            reasons = [
                f"{many} rejected {'piece needs' if many == 1 else 'pieces need'} other selections",
                f"{int(self.frozen.sum())} of {len(self.frozen)} pieces are kept as they are",
            ]
            if len(demand.exact):
                counted = [ground.space.columns[c].name for c in demand.exact if c != ground.space.sub]
                reasons.append(f"the counts of {', '.join(counted) or 'the sub-collections'} stay the same")
            raise Infeasible("No other selection fits the rejected slots.", reasons=reasons)
        return repair.rows

    def _numbered(self, rows: Rows) -> Rows:
        """Nested numbers follow their category: rows that lost it free theirs for those that gained it."""
        for index, column in enumerate(self.ground.space.columns):
            if not column.serial or column.parent < 0:
                continue
            applies = rows[column.parent] == column.host
            rows[index, ~applies] = column.absent
            missing = np.flatnonzero(applies & (rows[index] == column.absent))
            used = self.ground.serial_taken[index].copy()
            held = rows[index][rows[index] < column.choices]
            used[held] = True
            free = self.random.permutation(np.flatnonzero(~used))
            if len(free) < len(missing):
                reason = f"{column.name} has no numbers left"
                raise Infeasible(f"{reason}.", reasons=[reason])
            rows[index, missing] = free[: len(missing)]
        return rows
