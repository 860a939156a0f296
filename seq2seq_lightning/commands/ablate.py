"""`seq2seq-ablate ablation=NAME`: file → trials → what is missing → Hydra's launcher → the table."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from seq2seq_lightning.command_config import AblateConfig, AblateMode
from seq2seq_lightning.commands.application import JobFailed, plain, run_application
from seq2seq_lightning.commands.compose import composer
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.commands.forecast import CellCost, Trained, forecast, told
from seq2seq_lightning.commands.processes import core_count, jobs_at_once, train_task
from seq2seq_lightning.commands.sweeps import Plan, launch_sweep, plan_sweep
from seq2seq_lightning.config import FAMILIES
from seq2seq_lightning.errors import ConfigurationError, DataError, nearest
from seq2seq_lightning.experiments.ablation import Trial, expand, override
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.ledger import Entry, State, TrialResult, collect, export, write_trials
from seq2seq_lightning.job import Job
from seq2seq_lightning.reports.figures import condense, read_evidence
from seq2seq_lightning.reports.formats import show, write_table
from seq2seq_lightning.reports.html import write_report
from seq2seq_lightning.structure import from_plain, to_plain


def task(composed: DictConfig) -> None:
    """Expand the file, run what is missing, print and write the table; a failed trial leaves a table of the others."""
    config = from_plain(AblateConfig, plain(composed), FAMILIES)
    if config.ablation == AblationConfig():
        names = GlobalHydra.instance().config_loader().get_group_options("ablation")
        raise ConfigurationError(f"Name an ablation: ablation=NAME. {nearest('', names)}")
    trials = expand(config.ablation)
    _check_rows(config)
    overrides = [_overrides(config, trial) for trial in trials]
    context, master = _sweep_context()
    try:
        everything = plan_sweep(overrides, composer(context, master))
    except ConfigurationError as error:
        if config.mode is not AblateMode.dry_run or not _lacks_folder(error):
            raise
        _list_without_data(trials)
        return
    entries = {trial.key: _entry(job, config.ablation) for trial, job in zip(trials, everything.jobs, strict=True)}
    roots = [Path(config.paths.runs), *([Path(config.committed)] if config.committed else [])]
    results = collect(trials, entries, roots)
    asked = [number for number, trial in enumerate(trials) if not config.rows or trial.row_label in config.rows]
    missing = [number for number in asked if not _scored(results[number], config)]
    costs = _costs(config, everything, results, asked)
    failure = None
    if config.mode is AblateMode.run and missing:
        if any(cost.seconds is not None for cost in costs):
            print(told(costs, _at_once(master))[-1], file=sys.stderr)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=train_task, config=master
        )
        try:
            launch_sweep(_only(everything, missing), overrides, launcher, replicas=config.replicas)
        except JobFailed as error:
            failure = error
    _conclude(config, trials, entries, roots)
    if config.mode is AblateMode.dry_run:
        print("\n".join(told(costs, _at_once(master)) if costs else ["forecast: nothing is to be trained"]))
    if failure is not None:
        raise failure


def _check_rows(config: AblateConfig) -> None:
    labels = [row.label for row in config.ablation.rows]
    for label in config.rows:
        if label not in labels:
            told = nearest(label, labels) if labels else "The table has axes only: leave `rows` out."
            raise ConfigurationError(f"rows: {label!r} is no row of ablation={config.ablation.name}. {told}")


def _lacks_folder(error: ConfigurationError) -> bool:
    """Is all that is wrong that nobody said where the data are?"""
    return all("`data.folder` is not given" in line for line in str(error).splitlines())


def _list_without_data(trials: list[Trial]) -> None:
    """The trials of a file whose data are not here: what they are called is decided by the data too."""
    for trial in trials:
        print(f"    unknown  {trial}  {' '.join(trial.overrides)}")
    print(f"{len(trials)} trials; to see which are done, and to run them, add \"overrides=['data.folder=…']\"")


def _at_once(master: DictConfig) -> int:
    return jobs_at_once(master.hydra.launcher, core_count())


def _costs(config: AblateConfig, plan: Plan, results: list[TrialResult], asked: list[int]) -> list[CellCost]:
    """Of every cell that has trainings to do; before a run only what is known without a look."""
    if config.mode is AblateMode.status:
        return []
    firsts = {plan.jobs[number].fingerprint: number for number in reversed(asked)}
    trained = [
        Trained(str(results[number].trial.place), plan.jobs[number], results[number].state is not State.finished)
        for number in sorted(firsts.values())
    ]
    return forecast(trained, config.profile if config.mode is AblateMode.dry_run else 0, config.replicas)


def _overrides(config: AblateConfig, trial: Trial) -> list[str]:
    name = config.ablation.name
    places = [override("name", name), override("group", name), override("paths.runs", config.paths.runs)]
    return [*places, *trial.overrides, *config.overrides]


def _sweep_context() -> tuple[HydraContext, DictConfig]:
    """Hydra's composition of `train` for many jobs, with the launcher and other Hydra options of this command line."""
    loader = GlobalHydra.instance().config_loader()
    given = [each for each in HydraConfig.get().overrides.hydra if not each.startswith("hydra.mode=")]
    master = loader.load_configuration("train", overrides=given, run_mode=RunMode.MULTIRUN)
    return SweepLoader.within(HydraContext(config_loader=loader, callbacks=Callbacks(master))), master


def _entry(job: Job, ablation: AblationConfig) -> Entry:
    """Where the scores that the table needs of this trial will lie."""
    names = [*ablation.test_sets]
    if ablation.trained is not None and ablation.trained.test_set not in names:
        names.append(ablation.trained.test_set)
    (decoding,) = job.decodings()
    folders = [job.scores_dir(decoding, name).name for name in names]
    return Entry(job.fingerprint, folders)


def _scored(result: TrialResult, config: AblateConfig) -> bool:
    wanted = {*config.ablation.test_sets} | ({config.ablation.trained.test_set} if config.ablation.trained else set())
    return result.state is State.finished and wanted <= {scores.test_set for scores in result.scores}


def _only(plan: Plan, numbers: list[int]) -> Plan:
    wanted = set(numbers)
    first = [number for number in plan.first if number in wanted]
    return Plan(first, [number for number in plan.later if number in wanted], [], plan.jobs)


def _conclude(config: AblateConfig, trials: list[Trial], entries: dict[str, Entry], roots: list[Path]) -> None:
    """Print and write what there is by now."""
    results = collect(trials, entries, roots)
    counts = Counter(result.state.value for result in results)
    if config.mode is not AblateMode.run:
        for result in results:
            print(_line(result, config.mode))
        print(f"{len(results)} trials: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
        if config.mode is AblateMode.dry_run:
            return
    folder = Path(config.paths.runs) / config.ablation.name
    _write_plan(folder, config, entries)
    made = write_table(folder, config.ablation, results)
    show(made)
    write_report(folder, config.ablation, results, made)
    print(f"written: {folder / 'table.md'} (also .tex, .csv, report.html; runs.csv)")
    if config.export and config.committed:
        _export(config, trials, entries, results)


def _line(result: TrialResult, mode: AblateMode) -> str:
    """One trial: how it stands, which run it is, and what it was given or, for its status, how far it is."""
    told = " ".join(result.trial.overrides) if mode is AblateMode.dry_run else _progress(result)
    return f"{result.state.value:>11}  {result.fingerprint}  {result.trial}  {told}".rstrip()


def _progress(result: TrialResult) -> str:
    """What went wrong, or how far a run has come that is not finished."""
    if result.state is State.finished or result.run_dir is None:
        return ""
    if result.state is State.failed and result.problem:
        return result.problem.splitlines()[0]
    try:
        seen = read_json(result.run_dir / "progress.json")
    except DataError:
        return ""
    return f"{seen['stage']} {seen['done']}/{seen['total']}"


def _write_plan(folder: Path, config: AblateConfig, entries: dict[str, Entry]) -> None:
    """What `seq2seq-report` needs to make the table again without composing anything."""
    write_json_durably(folder / "ablation.json", to_plain(config.ablation))
    write_trials(folder, entries)


def _export(config: AblateConfig, trials: list[Trial], entries: dict[str, Entry], results: list[TrialResult]) -> None:
    """Records, scores and what figures need of finished trials, and the table that leads to them, for committing."""
    folder = Path(str(config.committed)) / config.ablation.name
    for run in {result.run_dir for result in results if result.state is State.finished and result.run_dir}:
        if not run.is_relative_to(folder):
            condense(run, export(run, folder), config.ablation.metrics)
    _write_plan(folder, config, entries)
    exported = collect(trials, entries, [Path(str(config.committed))])
    made = write_table(folder, config.ablation, exported)
    write_report(folder, config.ablation, exported, made, read_evidence(config.ablation, results))
    print(f"exported: {folder}")


def main() -> None:
    """The entry point of the console command."""
    run_application("ablate", task)


if __name__ == "__main__":
    main()
