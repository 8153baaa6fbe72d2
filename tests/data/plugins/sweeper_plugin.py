from .core import register_plugin


@register_plugin(
    name="sweeper",
    scope="experiment",
    description="Hyperparameter sweep",
    icon="🔍",
    settings_schema={
        "learning_rates": {"type": "list", "default": [0.0001, 0.0003, 0.001]},
        "batch_sizes": {"type": "list", "default": [16, 32, 64]}
    }
)
def sweeper_plugin(context, api):
    lrs = context.settings.get("learning_rates")
    batch_sizes = context.settings.get("batch_sizes")

    best_reward = -float('inf')
    best_hyperparameters = None

    for lr in lrs:
        for bs in batch_sizes:
            if context.should_stop:
                break

            # Create revision with these hyperparameters
            hyperparameters = {"learning_rate": lr, "batch_size": bs}
            api.create_revision_with_hyperparameters(
                name=f"Sweep_LR{lr}_BS{bs}",
                hyperparameters=hyperparameters
            )

            # Create run from that revision
            run = api.create_run({})
            api.wait_for_completion([run])

            reward = run.get_reward()
            if reward > best_reward:
                best_reward = reward
                best_hyperparameters = hyperparameters
                api.create_revision_with_hyperparameters(
                    name=f"Best_LR{lr}_BS{bs}",
                    hyperparameters=best_hyperparameters
                )

    api.add_note(f"✅ Best: {best_hyperparameters} (reward={best_reward:.2f})")
