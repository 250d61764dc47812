"""The wiring of `rank`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.predictions import LabelStudioPredictions
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.batch.limits import Limits
from octospoon.domain.labelling.blinding import HIDDEN
from octospoon.domain.training.first_labels import FirstLabels
from octospoon.domain.uncertainty import order_of
from octospoon.runtime import aws
from octospoon.runtime.settings import RankSettings, listed, load
from octospoon.runtime.wiring.label_studio import labeler
from octospoon.runtime.wiring.storage import Storage
from octospoon.runtime.wiring.triggers import rescore_queue
from octospoon.usecases.choose_batch import ChooseBatch
from octospoon.usecases.first_batches import FirstBatches
from octospoon.usecases.open_tasks import OpenTasks
from octospoon.usecases.plan_audit import PlanAudit
from octospoon.usecases.rank import Rank
from octospoon.usecases.refresh_predictions import RefreshPredictions
from octospoon.usecases.rescore import Reorder

if TYPE_CHECKING:
    from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
    from octospoon.adapters.label_studio.api import LabelStudio
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.usecases.rescore import Head


def rank() -> Rank:
    """Wire the selection and export of labelling batches."""
    config = load(RankSettings)
    storage = Storage(config)
    storage.task_type_record.check()
    label_studio = labeler(storage.task_type)
    pool, first = storage.ranking_pool, _first(config, storage)
    return Rank(
        pool=pool,
        rounds=storage.rounds,
        labeler=label_studio,
        images=storage.images,
        champions=storage.champions,
        clock=aws.CLOCK,
        choose=_choose(config, storage, pool, first),
        task_type=storage.task_type,
        open_tasks=OpenTasks(label_studio, pool, aws.CLOCK, config.open_task_days),
        max_open_tasks=config.max_open_tasks,
        reorder=Reorder(
            progress=storage.rescoring,
            enqueue=rescore_queue(config.rescore_queue_url),
            order=order_of(config.strategy),
            clock=aws.CLOCK,
        ),
        refresh=_refresh(storage, label_studio, pool),
        history=storage.class_history(),
        first=first,
    )


def chooser(config: RankSettings, storage: Storage) -> ChooseBatch:
    """Wire the choice of a batch alone, which stores nothing."""
    return _choose(config, storage, storage.ranking_pool, _first(config, storage))


def _choose(
    config: RankSettings, storage: Storage, pool: DynamoRankingPool, first: FirstBatches
) -> ChooseBatch:
    history, class_labels = storage.class_history(), storage.class_record().labels
    return ChooseBatch(
        pool=pool,
        rounds=storage.rounds,
        clock=aws.CLOCK,
        rules=_rules(config),
        strategy=config.strategy,
        task_type=storage.task_type,
        observations=storage.observations,
        history=history,
        class_labels=class_labels,
        plan_audit=PlanAudit(
            control=storage.control,
            decisions=storage.history,
            observations=storage.observations,
            rounds=storage.rounds,
            pool=pool,
            target=config.audit_target,
            metric=storage.task_type.evaluator.metric_name,
            history=history,
            class_labels=class_labels,
        ),
        jobs=lambda: storage.control.state().jobs,
        first=first,
    )


def _first(config: RankSettings, storage: Storage) -> FirstBatches:
    history, given = storage.class_history(), listed(config.classes)
    return FirstBatches(
        control=storage.control,
        clock=aws.CLOCK,
        first=FirstLabels(config.first_batch_size, config.task_type),
        classes=lambda: len(history().names or given),
        most=config.batch_size,
    )


def _rules(config: RankSettings) -> BatchRules:
    return BatchRules(
        size=config.batch_size,
        audit_share=config.audit_share,
        control_share=config.control_share,
        limits=Limits(config.min_distance, config.class_quota, config.group_quota),
        drift_share=config.drift_share,
        class_share=config.class_share,
        blind=config.audit_predictions == HIDDEN,
        rare_classes=config.rare_classes,
    )


def _refresh(storage: Storage, label_studio: LabelStudio, pool: DynamoRankingPool) -> RefreshPredictions:
    champions = storage.champions

    def load_head(pointer: ChampionPointer) -> tuple[ChampionPointer, Head | None]:
        # brings onnxruntime along, which most runs do not need
        from octospoon.runtime.wiring.head import head_loader

        return head_loader(champions, storage.task_type)(pointer)

    return RefreshPredictions(
        predictions=LabelStudioPredictions(label_studio),
        pool=pool,
        rounds=storage.rounds,
        champions=champions,
        head=load_head,
        clock=aws.CLOCK,
        task_type=storage.task_type,
        reading=storage.reading.newest,
        history=storage.class_history(),
    )
