"""A lifecycle node whose transitions can be requested at any time, from anywhere, without harm."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import TypeAlias

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

Transition: TypeAlias = Callable[[LifecycleState], TransitionCallbackReturn]


class SafeLifecycleNode(LifecycleNodeMixin, Node):
    """A node that does one transition at a time. One that is not allowed now is answered with failure.

    In rclpy such a request raises in the executor, and the node ends.

    Attributes:
        transition: Held during a transition.
    """

    def __init__(self, name: str) -> None:
        """Create the node and its lifecycle services."""
        Node.__init__(self, name)
        # Reentrant: `get_state` answers while a `change_state` is at work.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self.transition = threading.Lock()
        # rclpy turns an exception in a transition into an ERROR without a word.
        self._callbacks = {state: self._logged(callback) for state, callback in self._callbacks.items()}
        change = self._service_change_state.callback

        def guarded(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            if not self.transition.acquire(blocking=False):
                self.get_logger().warning("refused a transition: another one is under way")
                return response
            try:
                return change(request, response)
            except rclpy_implementation.RCLError as error:
                self.get_logger().warning(f"refused a transition: {error}")
                response.success = False
                return response
            finally:
                self.transition.release()

        self._service_change_state.callback = guarded

    def _logged(self, callback: Transition) -> Transition:
        def transition(state: LifecycleState) -> TransitionCallbackReturn:
            try:
                return callback(state)
            except Exception:  # rclpy turns it into an ERROR of the transition and drops the traceback
                self.get_logger().error(f"a transition failed, which is a defect:\n{traceback.format_exc()}")
                raise

        return transition

    def destroy_node(self) -> None:
        """Leave the graph, at once. rclpy's state machine would hold on to the node until the garbage is collected."""
        super().destroy_node()
        self._state_machine = None
