"""The page in a real browser, and its modules alone with Node. A package, so that fixtures may live as long as its tests."""
