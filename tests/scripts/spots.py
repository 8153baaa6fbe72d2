"""A tiny environment of pixels: a bright spot lies in one of four quarters, and the action names the quarter."""

import gymnasium as gym
import numpy as np

SIZE, STEPS = 8, 20


class Spots(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE), np.uint8)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._look(), {}

    def step(self, action):
        reward = float(action == self.quarter)
        self.steps += 1
        return self._look(), reward, False, self.steps >= STEPS, {}

    def _look(self):
        self.quarter = int(self.np_random.integers(4))
        pixels = self.np_random.integers(0, 160, (SIZE, SIZE))
        row, column = divmod(self.quarter, 2)
        pixels[row * 4 + 1 : row * 4 + 3, column * 4 + 1 : column * 4 + 3] += 90
        return pixels.astype(np.uint8)


gym.register("Spots-v0", entry_point=Spots)
