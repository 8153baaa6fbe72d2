"""Write the last section of ``docs/reference/capabilities.md``: what the shipped scripts can do, as probes show."""

from __future__ import annotations

from docs.pages import ROOT

from arena_ray.runner import CapabilityReport, inspect_capabilities
from arena_ray.runner.discovery import load_runners

PAGE = ROOT / "docs" / "reference" / "capabilities.md"
TITLE = "## Shipped scripts\n"


def reports(*, probe: bool) -> list[CapabilityReport]:
    """Return the report on each script that the project's own runners ship."""
    runners = load_runners().runners.values()
    own = [one for one in runners if type(one).__module__.startswith("arena_runners.")]
    return [inspect_capabilities(name, runner=one, probe=probe) for one in own for name in sorted(one.scripts())]


def static_part(report: CapabilityReport) -> str:
    """Return what the source alone tells."""
    loop = report.main_loop
    assert loop is not None
    fixed = [f"`{one.name}`" for one in report.hyperparameters if not one.is_live]
    live = [f"`{one.name}`" for one in report.hyperparameters if one.is_live]
    tags = [f"`{one.tag}`" for one in report.metrics if one.line is not None]
    return (
        f"- main loop: line {loop.line}, `{loop.kind}`, in {'the module' if loop.scope == '<module>' else loop.scope}\n"
        f"- set while it trains: {', '.join(live)}\n"
        f"- fixed before the main loop: {', '.join(fixed)}\n"
        f"- metrics: {', '.join(tags)}\n"
        f"- needs: {', '.join(f'`{name}`' for name in report.needs.imports)}"
        f"{', CUDA' if report.needs.cuda else ''}\n"
    )


def row(report: CapabilityReport) -> str:
    """Return what the probe has shown, as a row of the table."""
    policy = f"`{report.policy}`" if report.policy else f"none: {report.policy_reason}"
    resume = f"`{report.resume}`" + (f": {report.resume_reason}" if report.resume_reason else "")
    return f"| `{report.script}` | `{report.runner}` | `{report.needs.env_id}` | {resume} | {policy} |"


def section(found: list[CapabilityReport]) -> str:
    """Return the section: the matrix, then what the sources tell."""
    head = ["| script | runner | environment | resume | policy |", "|---|---|---|---|---|"]
    details = [f"\n### `{report.script}`\n\n{static_part(report)}" for report in found]
    return "\n".join([TITLE, *head, *map(row, found), ""]) + "".join(details)


def main() -> None:
    """Probe the scripts and write the page anew."""
    text = PAGE.read_text(encoding="utf-8").partition(TITLE)[0] + section(reports(probe=True))
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
