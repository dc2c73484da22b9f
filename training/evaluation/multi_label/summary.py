"""What a multi-label run tells at its end: metrics, thresholds, the weakest labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.calibration import Calibration
from training.data.batching import LabelSets
from training.errors import format_list
from training.evaluation.multi_label.predictions import LabelSetPredictions, guessing_micro_f1
from training.evaluation.multi_label.thresholds import MIN_POSITIVES, rare_labels

SHOWN_LABELS = 5  # in a line


def multi_label_summary(
    metrics: Mapping[str, float],
    predictions: LabelSetPredictions,
    valid_BC: LabelSets,
    calibration: Calibration,
    *,
    names: Sequence[str],
    remedies: str,
) -> list[str]:
    """Lines for the person who started the run.

    Args:
        metrics: of the splits.
        predictions: of the last split, whose weakest labels are named.
        valid_BC: whether each document of the validation split has each label.
        calibration: with the thresholds.
        names: of the labels.
        remedies: what to try if the model has not learned.
    """
    lines = [
        f"{split}: micro F1 {metrics[f'{split}_micro_f1']:.4f}, macro F1 "
        f"{metrics[f'{split}_macro_f1']:.4f}, all labels of a text right "
        f"{metrics[f'{split}_subset_accuracy']:.4f}"
        for split in ("validation", "test")
        if f"{split}_micro_f1" in metrics
    ]
    guess = guessing_micro_f1(valid_BC)
    if metrics["validation_micro_f1"] <= guess:
        lines.append(
            "warning: the model is no better than the same labels for every document (micro F1 "
            f"{guess:.4f}); {remedies}"
        )
    thresholds = calibration.thresholds or ()
    lines.append(
        "a text has each label whose probability reaches the label's threshold, from "
        f"{min(thresholds):.2f} to {max(thresholds):.2f}; each maximizes F1 on the validation split"
    )
    few = [names[label] for label in rare_labels(valid_BC)]
    if few:
        lines.append(
            f"labels with fewer than {MIN_POSITIVES} texts to validate on have the threshold that "
            f"is best for all labels together: {format_list(few, SHOWN_LABELS)}"
        )
    f1_C = predictions.counts(calibration).f1_of_labels()
    lowest = np.argsort(f1_C, kind="stable")[:SHOWN_LABELS]
    return [*lines, f"lowest F1: {', '.join(f'{names[at]} {f1_C[at]:.2f}' for at in lowest)}"]
