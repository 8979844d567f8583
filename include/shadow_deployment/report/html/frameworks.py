"""What a validation report says whatever the deployment: texts it maps to, what others must complete, error rates."""

from typing import Final

Mapping = tuple[str, str, tuple[tuple[str, tuple[str, ...]], ...]]

SR_11_7: Final[Mapping] = (
    "SR 11-7, Supervisory Guidance on Model Risk Management (Federal Reserve and OCC, 4 April 2011)",
    "Superseded in the United States by SR 26-2 of 17 April 2026; these headings are those of SR 11-7.",
    (
        (
            "IV. Model Development, Implementation, and Use: Model Development and Implementation",
            ("purpose", "data", "models", "elsewhere"),
        ),
        ("IV. Model Development, Implementation, and Use: Model Use", ("purpose", "limits", "decisions")),
        ("V. Model Validation: Evaluation of Conceptual Soundness", ("method", "elsewhere")),
        ("V. Model Validation: Ongoing Monitoring", ("monitoring", "labels", "completeness")),
        ("V. Model Validation: Outcomes Analysis", ("results", "slices", "limits")),
        ("VI. Governance, Policies, and Controls: Policies and Procedures", ("policy", "decisions")),
        ("VI. Governance, Policies, and Controls: Roles and Responsibilities", ("purpose", "decisions", "signatures")),
        ("VI. Governance, Policies, and Controls: Model Inventory", ("models", "trials")),
        ("VI. Governance, Policies, and Controls: Documentation", ("verification", "provenance")),
    ),
)
AI_ACT: Final[Mapping] = (
    "EU AI Act, Regulation (EU) 2024/1689",
    "",
    (
        ("Article 12, Record-keeping: (1) automatic recording of events", ("verification", "provenance")),
        ("Article 12(2)(a): situations of risk, substantial modification", ("limits", "trials", "decisions")),
        ("Article 12(2)(b) and (c): monitoring after placing on the market, and in operation", ("monitoring",)),
        (
            "Article 15, Accuracy, robustness and cybersecurity: (1) and (3) accuracy and its metrics",
            ("policy", "results", "slices"),
        ),
        ("Article 15(4): robustness, errors, faults and inconsistencies", ("completeness", "monitoring", "limits")),
        ("Article 15(5): cybersecurity", ("elsewhere",)),
        ("Annex IV, 1: general description of the system", ("purpose", "models", "elsewhere")),
        ("Annex IV, 2(a) to (d): development, design, architecture, data requirements", ("elsewhere",)),
        ("Annex IV, 2(e): human oversight measures", ("decisions", "elsewhere")),
        ("Annex IV, 2(f): pre-determined changes", ("policy", "decisions")),
        (
            "Annex IV, 2(g): validation and testing procedures, data, metrics, signed reports",
            ("data", "sampling", "labels", "method", "results", "slices", "signatures"),
        ),
        ("Annex IV, 2(h): cybersecurity measures", ("elsewhere",)),
        ("Annex IV, 3: monitoring, functioning and control", ("slices", "limits", "monitoring", "elsewhere")),
        ("Annex IV, 4: appropriateness of the performance metrics", ("method", "policy")),
        ("Annex IV, 5: risk management system", ("elsewhere",)),
        ("Annex IV, 6: changes through the lifecycle", ("trials", "decisions")),
        ("Annex IV, 7 and 8: standards, declaration of conformity", ("elsewhere",)),
        ("Annex IV, 9: post-market monitoring", ("monitoring", "elsewhere")),
    ),
)
FRAMEWORKS: Final = (SR_11_7, AI_ACT)

ELSEWHERE: Final = (
    ("Conceptual soundness", "Why this kind of model, its features and its target suit the purpose; alternatives."),
    ("Training data", "Origin, selection, labelling, cleaning, period and known gaps of the data it learned from."),
    ("Intended use", "Which decisions rest on a prediction, which uses are excluded, and whom they concern."),
    (
        "Effects on groups",
        "Groups of persons that no declared slice shows, and which differences are acceptable.",
    ),
    ("Interpretation", "How users are to read a prediction, and what it does not say."),
    ("Human oversight", "Who may overrule or stop the model, by which means, and how they were trained."),
    ("Cybersecurity", "Threats to data, model and serving, and the measures against them."),
    ("Risk management", "Risks of the use, their assessment, and what remains."),
    ("Serving", "How a promoted model is served, at which latency, and when a rollback was last rehearsed."),
    ("Monitoring plan", "Who looks at the results how often, and what leads to an incident report."),
    (
        "Standards and declarations",
        "Standards that were applied, and the declaration of conformity where one is due.",
    ),
    ("Independent review", "Who has reviewed model and report without having developed either."),
)

ERROR_RATES: Final = (  # of statistics/README.md
    ("normal", "89.8", "26.1", "1.8", "2.0"),
    ("heavy-tailed (t, 3 degrees of freedom)", "89.2", "25.7", "1.9", "2.0"),
    ("skewed (exponential, rare losses)", "90.7", "35.2", "2.5", "2.3"),
    ("5 % very bad (four standard deviations)", "90.3", "31.6", "3.2", "2.5"),
    ("like the day before (AR 0.4)", "88.8", "48.4", "2.8", "2.1"),
    ("like two days before (AR(2) 0.2, 0.2)", "88.5", "49.4", "6.2", "2.3"),
    ("of long memory (ARMA 0.8, -0.5)", "87.2", "61.0", "12.1", "4.5"),
)
