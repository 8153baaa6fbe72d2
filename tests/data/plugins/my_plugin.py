from .core import register_plugin

@register_plugin(
    name="my_plugin",
    scope="experiment",
    description="My awesome plugin",
    icon="🚀"
)
def my_plugin(context, api):
    """My plugin implementation."""

    # Create revision with new hyperparameters
    api.create_revision_with_hyperparameters(
        name="Test-Config",
        hyperparameters={"learning_rate": 0.001, "batch_size": 64},
        notes="Testing hyperparameters"
    )

    # Create and run training from that revision
    run = api.create_run(
        config={},  # CLI flags (empty for default behavior)
        description="Testing hyperparameters"
    )
    api.wait_for_completion([run])

    # Save good results as new revision
    if run.get_reward() > 100:
        api.create_revision_with_hyperparameters(
            name="Auto-Optimized",
            hyperparameters={"learning_rate": 0.001, "batch_size": 64},
            notes=f"Reward: {run.get_reward()}"
        )
