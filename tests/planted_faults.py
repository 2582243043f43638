"""Faults to plant in the core, each with the test that must go red: the tests of the tests.

``old`` is a piece of the source that occurs once; ``new`` takes its place in a copy.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what it is, where it is planted, and which test sees it."""

    name: str
    module: str  # below cauldron/
    old: str
    new: str
    test: str  # below tests/: file[::test name or beginning of it]


COOK = "domain/test_cook.py"
STATE = "domain/cook_state.py"
JOBS = "persistence/jobs.py"
JOB_TESTS = "persistence/test_jobs.py"

FAULTS = (
    # decide and evolve
    Fault("a piece is counted twice", STATE, "cook.made += 1", "cook.made += 2", "domain/test_status.py"),
    Fault(
        "a failed piece leaves its old count",
        STATE,
        "cook.counts[cook.piece_state[index]] -= 1\n    cook.counts[FAILED] += 1",
        "cook.counts[FAILED] += 1",
        COOK,
    ),
    Fault(
        "a refill reuses numbers", "domain/cook.py", "first = cook.pieces + 1", "first = cook.pieces", COOK
    ),
    Fault(
        "a piece is recorded again after its end",
        "domain/cook.py",
        "    if code != QUEUED:\n        return []",
        "    if code is None:\n        return []",
        COOK,
    ),
    Fault(
        "the budget pauses one failure early",
        "domain/cook.py",
        'failures_since_resume + 1 > int(cook.started["failureBudget"])',
        'failures_since_resume + 1 >= int(cook.started["failureBudget"])',
        COOK,
    ),
    Fault(
        "a replaced piece can be approved",
        "domain/cook.py",
        "    if code in states and cook.is_current(number):",
        "    if code in states:",
        COOK,
    ),
    Fault(
        "a pause ends with the last piece",
        "domain/cook.py",
        "    elif last and cook.state is State.COOKING:",
        "    elif last:",
        COOK,
    ),
    Fault(
        "two people re-roll from the same plan",
        "domain/cook.py",
        "    if c.base and c.base != cook.plans[-1][2]:",
        "    if False:",
        COOK,
    ),
    Fault(
        "rows are given out twice",
        "domain/reservation.py",
        'rows.used[event.data["planHash"]] = event.data["slotFrom"] + event.data["amount"]',
        'rows.used[event.data["planHash"]] = event.data["amount"]',
        "domain/test_reservation.py",
    ),
    Fault(
        "a late end overtakes the end of a cast",
        "domain/cast.py",
        "    if cast.state is not CastState.RUNNING:\n        return []",
        "    if False:\n        return []",
        "domain/test_cast.py",
    ),
    # commits and dispatch
    Fault(
        "a stale append is taken for done",
        "persistence/streams.py",
        "            raise StaleVersion(f\"{commit['stream']} moved past {commit['seq'] - 1}\") from None",
        "            return",
        "services/test_dispatch.py",
    ),
    Fault(
        "the state keeps what was not committed",
        "services/dispatch.py",
        "(self._decider.initial(), 0) if folded.ahead else (folded.state, folded.seq)",
        "(folded.state, folded.seq)",
        "services/test_dispatch.py",
    ),
    Fault(
        "a reader sees what is about to be committed",
        "services/dispatch.py",
        "        async with folded.lock:\n            if fresh or folded.ahead:",
        "        if fresh or folded.ahead:\n            if fresh:",
        "services/test_dispatch.py::test_a_reader_waits",
    ),
    Fault(
        "a refused command blocks its batch",
        "services/dispatch.py",
        "                results.append(refusal)\n                continue",
        "                raise refusal",
        "services/test_dispatch.py",
    ),
    Fault(
        "a repeated command is not answered",
        "services/dispatch.py",
        "            results[index] = first_answer(earlier[key], key)",
        "            pass",
        "services/test_dispatch.py",
    ),
    # the queue
    Fault(
        "a zombie may settle",
        JOBS,
        '{"status": "running", "leaseId": lease.id}',
        '{"status": "running"}',
        f"{JOB_TESTS}::test_a_zombie",
    ),
    Fault(
        "a reaper takes what was claimed anew",
        JOBS,
        '    return {"status": "running", "leaseId": job["leaseId"]}',
        '    return {"status": "running"}',
        f"{JOB_TESTS}::test_a_reaper_does_not",
    ),
    Fault(
        "a claim ignores the gate",
        JOBS,
        "        if not closed:\n            return jobs",
        "        return jobs",
        f"{JOB_TESTS}::test_whatever_comes_back",
    ),
    Fault(
        "a late owner moves a gate back",
        JOBS,
        'turn = Patch(GATES, gate["_id"], changes, {"at": Compare("<", gate["at"])})',
        'turn = Patch(GATES, gate["_id"], changes)',
        f"{JOB_TESTS}::test_who_speaks",
    ),
    Fault(
        "poison is handed out for ever",
        JOBS,
        "if not lost or times < self._max_lost:",
        "if True:",
        f"{JOB_TESTS}::test_a_job_lost",
    ),
    Fault(
        "a worker that leaves makes poison",
        JOBS,
        'times = job.get("lost", 0) + lost',
        'times = job.get("deliveries", 0)',
        f"{JOB_TESTS}::test_retries_and_leaving",
    ),
    Fault(
        "a retry does not wait",
        JOBS,
        '"runAt": Compare("<=", now)}',
        '"runAt": Compare("<=", now + 10**6)}',
        f"{JOB_TESTS}::test_a_postponed",
    ),
    Fault(
        "two hold one lease",
        "persistence/leases.py",
        'Put(TABLE, wanted, doc["_v"] if doc else 0)',
        "Put(TABLE, wanted, None)",
        f"{JOB_TESTS}::test_of_many_who_want",
    ),
    # owner
    Fault(
        "the owner finishes before it appends",
        "services/owning.py",
        "            commands = [record_of(job) for job in ended]\n",
        "            commands = [record_of(job) for job in ended]\n"
        "            await self.jobs.finish(ends_of(ended), now=self.clock())\n",
        "services/test_owning.py::test_a_full_disk_loses_nothing_and_the_cook_goes_on_when_there_is_room[append]",
    ),
    Fault(
        "the queue is not held",
        "services/owning.py",
        "        if turns == tended.turns:\n            return",
        "        if True:\n            return",
        "services/test_owning.py::test_a_pause_whose_process_died",
    ),
    Fault(
        "the window has no end",
        "services/owning.py",
        "min(self.window - in_flight, paid_for)",
        "paid_for",
        "services/test_owning.py::test_the_queue_holds_a_window",
    ),
    Fault(
        "newcomers stand in line behind everybody",
        "services/owning.py",
        'return int(head[0]["rank"]) if head else self.clock() * 1000',
        "return self.clock() * 1000",
        "services/test_owning.py::test_cooks_take_turns",
    ),
    Fault(
        "a full disk costs pieces",
        "services/piece_jobs.py",
        '    "storage_full": "disk_full",\n',
        "",
        "services/test_owning.py::test_what_is_not_the_pieces_fault",
    ),
    Fault(
        "late pieces of a resting cook are left lying",
        "services/owning.py",
        "            wanted += await self.jobs.parents_settled()",
        "            pass",
        "services/test_owning.py::test_a_late_piece_of_a_resting_cook",
    ),
    # projections
    Fault(
        "the cursor moves before the documents are written",
        "services/projecting.py",
        "            traits = await self.selections(cook, commit)\n",
        '            cursor.seq = commit["seq"]\n            traits = await self.selections(cook, commit)\n',
        "services/test_projecting.py::test_the_cursor_does_not_pass",
    ),
    Fault(
        "an old decision overwrites a newer one",
        "services/projecting.py",
        '    guard = {"seq": Compare("<=", seq)}',
        "    guard: dict[str, Any] = {}",
        "services/test_projecting.py::test_an_old_decision_written_late",
    ),
    Fault(
        "counters go back",
        "services/projecting.py",
        'Put("cooks", parent, cursor.parent_version), Put("cook_status", counters, cursor.version)',
        'Put("cooks", parent, None), Put("cook_status", counters, None)',
        "services/test_projecting.py::test_counters_do_not_go_back",
    ),
    Fault(
        "a page of outputs is noted twice",
        "services/projecting.py",
        ' and output["_id"] not in first_outputs',
        "",
        "services/test_projecting.py::test_a_parent_record_that_is_ahead",
    ),
    Fault(
        "a check overlooks what is too much",
        "services/rebuilding.py",
        'if doc["_id"] not in known[table] and doc["seq"] <= upto:',
        "if False:",
        "services/test_projecting.py::test_a_check_finds",
    ),
    # worker, sweeper, follower
    Fault(
        "a failure is retried for ever",
        "services/working.py",
        'return bool(result.get("tries", job["attempt"]) < job.get("attempts", 1))',
        "return True",
        "services/test_working.py::test_after_the_last_attempt",
    ),
    Fault(
        "earlier attempts leave no record",
        "services/working.py",
        '"history": history[-KEPT_STEPS:]',
        '"history": []',
        "services/test_working.py::test_a_retryable_failure",
    ),
    Fault(
        "a crash in an executor keeps its slot",
        "services/working.py",
        "        except Exception as crash:  # against its promise; the job must end all the same",
        "        except ZeroDivisionError as crash:",
        "services/test_working.py::test_an_executor_that_breaks",
    ),
    Fault(
        "a drain does not wait for what runs",
        "services/working.py",
        "while not self._draining or self._running or self._finished:",
        "while not self._draining:",
        "services/test_working.py::test_draining_finishes",
    ),
    Fault(
        "casts wait behind cooks",
        "services/working.py",
        "self._turn = (self._turn + 1) % len(self.queues)",
        "self._turn = 0",
        "services/test_working.py::test_a_long_queue",
    ),
    Fault(
        "the sweeper forgets a worker that still holds jobs",
        "services/sweeping.py",
        "if row is None or self._is_silent(row)]",
        "if row is not None and self._is_silent(row)]",
        "services/test_sweeping.py::test_a_worker_without_a_row",
    ),
    Fault(
        "a clock set back keeps the dead alive",
        "services/sweeping.py",
        " or (now - since) * 1000 > lease_ms",
        "",
        "services/test_sweeping.py::test_a_clock_set_back_does_not_keep",
    ),
    Fault(
        "a follower moves on before it has handled",
        "services/following.py",
        "            if commit is not None:\n",
        "            self._cursor, self._unsaved = cursor, 1\n            if commit is not None:\n",
        "services/test_following.py::test_a_handler_that_fails",
    ),
    # casts, execution, pool
    Fault(
        "a cast that could not be folded is finished",
        "services/casting.py",
        "            except (NotFound, Refused, Invalid) as refusal:",
        "            except CauldronError as refusal:",
        "services/test_casting.py::test_a_result_that_could_not_be_folded",
    ),
    Fault(
        "a cast's record goes back to running",
        "services/casting.py",
        'Patch("casts", cast_id, changes, {"seq": Compare("<", folded.seq)})',
        'Patch("casts", cast_id, changes)',
        "services/test_casting.py::test_a_slow_projection",
    ),
    Fault(
        "the cache answers with pictures that are gone",
        "services/execution.py",
        "is None:\n                return False",
        "is None:\n                return True",
        "services/test_execution.py::test_a_result_whose_picture",
    ),
    Fault(
        "failures are cached",
        "services/execution.py",
        '        if key and result.status == "success":',
        "        if key:",
        "services/test_execution.py::test_a_failure_is_never_cached",
    ),
    Fault(
        "a cached result is paid for",
        "services/execution.py",
        '"costMicroUsd": 0 if cached else result.cost_micro_usd',
        '"costMicroUsd": result.cost_micro_usd or 40',
        "services/test_execution.py::test_a_deterministic_result",
    ),
    Fault(
        "calls behind a hanging one are dropped",
        "adapters/local/pool.py",
        "            self._waiting.extendleft(reversed(given))",
        "            pass",
        "adapters/local/test_pool.py::test_a_member_that_hangs",
    ),
    Fault(
        "a dead member is left a zombie",
        "adapters/local/pool.py",
        "            await process.communicate()\n        await process.wait()",
        "            pass",
        "adapters/local/test_pool.py::test_closing_ends",
    ),
    # the books
    Fault(
        "an account is overdrawn",
        "domain/ledger_account.py",
        "    if missing:\n        raise InsufficientPoints(",
        "    if missing > 10**12:\n        raise InsufficientPoints(",
        "services/test_ledger.py::test_what_is_not_there",
    ),
    Fault(
        "an expired grant is spent",
        "domain/ledger_account.py",
        "        if grant.lasts(now) and grant.left_milli:\n            taken",
        "        if grant.left_milli:\n            taken",
        "services/test_ledger.py::test_the_sweeper",
    ),
    Fault(
        "an expired quote is taken",
        "domain/ledger_account.py",
        "    if c.offer_ends_at is not None and c.now >= c.offer_ends_at:",
        "    if c.offer_ends_at is not None and c.now > c.offer_ends_at + 10**9:",
        "services/test_invoicing.py::test_expired_foreign",
    ),
    Fault(
        "a release gives back what was captured",
        "domain/ledger_account.py",
        "    left = cap - c.captured_milli\n",
        "    left = cap\n",
        "services/test_ledger.py::test_a_run_is_paid_for",
    ),
    Fault(
        "what expired while it was held comes back",
        "domain/ledger_account.py",
        "    over = sum(milli for grant, milli in back if not account.grants[grant].lasts(c.now))",
        "    over = 0",
        "services/test_ledger.py::test_promotions",
    ),
    Fault(
        "a step is paid for twice",
        "domain/ledger_hold.py",
        "        if line.key not in seen and not hold.is_paid(line):",
        "        if line.key not in seen:",
        "services/test_ledger.py::test_everything_said_twice",
    ),
    Fault(
        "a late capture is charged",
        "domain/ledger_hold.py",
        "    if hold.state is HoldState.CLOSED:\n        return [_wasted",
        "    if hold.state is HoldState.NONE:\n        return [_wasted",
        "services/test_ledger.py::test_a_capture_takes_no_more",
    ),
    Fault(
        "a capture is refunded twice",
        "domain/ledger_hold.py",
        "    fresh = [each for each in wanted if key_of(each) not in hold.refunded]",
        "    fresh = list(wanted)",
        "services/test_ledger.py::test_everything_said_twice",
    ),
    Fault(
        "a capture goes over the cap",
        "domain/ledger_pricing.py",
        "    taken = min(line.price_milli, left_milli)",
        "    taken = line.price_milli",
        "services/test_ledger.py::test_a_capture_takes_no_more",
    ),
    Fault(
        "a creator's share is rounded",
        "domain/ledger_pricing.py",
        "    creator = (taken - provider) * terms.creator_bps // WHOLE_BPS if",
        "    creator = round((taken - provider) * terms.creator_bps / WHOLE_BPS) if",
        "services/test_ledger_machine.py::test_the_books_are_those_of_the_model[sqlite]",
    ),
    Fault(
        "a creator pays back more than there is",
        "domain/ledger_creator.py",
        "    taken = min(c.amount_milli, earnings.payable_milli)",
        "    taken = c.amount_milli",
        "services/test_ledger.py::test_a_refund_gives_everything_back",
    ),
    Fault(
        "a token shown again is a second hold",
        "domain/ledger_commands.py",
        '        return f"hold:{self.natural}"',
        '        return f"hold:{self.hold_id}"',
        "services/test_invoicing.py::test_one_invoice_is_one_hold",
    ),
    Fault(
        "one id means two things",
        "services/ledger.py",
        '        if events[0].data["asked"] != command.asked:',
        '        if events[0].data["asked"] == "":',
        "services/test_ledger.py::test_the_same_id",
    ),
    Fault(
        "a half-written batch of balances is left",
        "services/ledger_books.py",
        '        return book if book["done"] else await self._finish(book)',
        "        return book",
        "services/test_ledger.py::test_a_batch_of_balances",
    ),
    Fault(
        "what a dead process began is not finished",
        "services/ledger_books.py",
        '                elif event.type == "HoldClosed":',
        '                elif event.type == "HoldMislaid":',
        "services/test_ledger.py::test_the_bookkeeper_finishes",
    ),
    Fault(
        "somebody else's invoice is taken",
        "domain/invoice.py",
        'account not in (invoice["owner"], invoice["payer"])',
        "not account",
        "services/test_invoicing.py::test_expired_foreign",
    ),
    Fault(
        "a token of another audience is taken",
        "services/invoice_tokens.py",
        '"verify_exp": False, "verify_iat": False}',
        '"verify_exp": False, "verify_aud": False}',
        "services/test_invoicing.py::test_forged",
    ),
    Fault(
        "pieces after the end are paid for",
        "domain/cook_charge.py",
        "    return 0 if cook.state in ENDED else min(",
        "    return min(",
        "services/test_charged_runs.py::test_what_finishes_after_the_end",
    ),
    Fault(
        "bytes of a picture depend on addresses",
        "adapters/local/png.py",
        "HEAD_BYTES = 4 ",
        "HEAD_BYTES = 0 ",
        "adapters/local/test_png.py::test_the_bytes_of_a_band_do_not_depend",
    ),
)
