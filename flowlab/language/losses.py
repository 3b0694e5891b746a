from flowlab.core.registry import Registry
losses = Registry("loss")
@losses.register("exponential")
class Exponential:
    labels="binary"
    def pull(self, xp, f, y): return y[:,None]*xp.exp(-y[:,None]*f)
    def log_loss(self, xp, f, y, reduction="sum"):
        q=-(y[:,None]*f)[:,0]; m=q.max(); return m+xp.log(xp.exp(q-m).sum())
