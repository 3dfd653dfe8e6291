package subnet

import (
	"slices"

	"atoll"
	"atoll/wire"
)

// Methods of the management canister, named as in the Internet Computer
// interface specification where it has them. Those that mint cycles or change
// the semantics are for the node itself: messages from Management.
const (
	MethodCreate   = "create_canister" // CreateRequest -> CreateReply; the cycles attached become the new canister's
	MethodSettings = "update_settings" // SettingsRequest, by a controller
	MethodStatus   = "canister_status" // Managed -> Info, by a controller
	MethodDeposit  = "deposit_cycles"  // Managed; the cycles attached become the canister's
	MethodGenesis  = "genesis"         // Genesis, in the first block
	MethodMint     = "mint"            // MintRequest
	MethodActivate = "activate"        // ActivateRequest
)

// Managed names the canister that a management message is about.
type Managed struct {
	Canister atoll.CanisterID `cbor:"1,keyasint"`
}

// CreateRequest makes a canister of a native program. Without controllers the
// caller becomes the only one.
type CreateRequest struct {
	Program     string            `cbor:"2,keyasint"`
	Controllers []atoll.Principal `cbor:"3,keyasint,omitempty"`
}

// CreateReply names the new canister. It takes messages from the next block on.
type CreateReply struct {
	Canister atoll.CanisterID `cbor:"1,keyasint"`
}

// SettingsRequest replaces a canister's controllers.
type SettingsRequest struct {
	Canister    atoll.CanisterID  `cbor:"1,keyasint"`
	Controllers []atoll.Principal `cbor:"2,keyasint"`
}

// MaxControllers is the most controllers that a canister may have, as on the
// Internet Computer.
const MaxControllers = 10

// Genesis creates the first canisters of a subnet, numbered from 1, with newly
// minted cycles.
type Genesis struct {
	Canisters []GenesisCanister `cbor:"2,keyasint,omitempty"`
}

// GenesisCanister is one canister of a Genesis.
type GenesisCanister struct {
	Program string `cbor:"1,keyasint"`
	Cycles  uint64 `cbor:"2,keyasint"`
}

// MintRequest mints cycles for a canister.
type MintRequest struct {
	Canister atoll.CanisterID `cbor:"1,keyasint"`
	Cycles   uint64           `cbor:"2,keyasint"`
}

// ActivateRequest makes the next block execute under another version.
type ActivateRequest struct {
	Version atoll.Semantics `cbor:"2,keyasint"`
}

// managed returns the canister that a message to the management canister is
// about.
func managed(t *turn) (atoll.CanisterID, bool) {
	payload, method := []byte(nil), ""
	if t.letter != nil {
		payload, method = t.letter.Payload, t.letter.Method
	} else {
		payload, method = t.message.Payload, t.message.Method
	}
	switch method {
	case MethodSettings, MethodStatus, MethodDeposit, MethodMint,
		MethodTakeSnapshot, MethodLoadSnapshot, MethodListSnapshots, MethodDeleteSnapshot:
		var m Managed
		if wire.Unmarshal(payload, &m) == nil && m.Canister != atoll.Management {
			return m.Canister, true
		}
	}
	return "", false
}

// manage executes a message to the management canister. It changes nothing if
// it fails.
func (ln *lane) manage(t *turn, in atoll.Input) ([]byte, error) {
	if in.IsReply {
		return nil, nil
	}
	own := t.message != nil && in.Caller == atoll.Management // from the node itself
	switch in.Method {
	case MethodCreate:
		var r CreateRequest
		if err := wire.Unmarshal(in.Payload, &r); err != nil {
			return nil, err
		}
		return ln.create(t, in, r)
	case MethodGenesis, MethodMint, MethodActivate:
		if !own {
			return nil, atoll.Errorf(atoll.PermissionDenied, "%s is for the node itself", in.Method)
		}
		return nil, ln.govern(t, in)
	case MethodSettings, MethodStatus, MethodDeposit,
		MethodTakeSnapshot, MethodLoadSnapshot, MethodListSnapshots, MethodDeleteSnapshot:
	default:
		return nil, atoll.Errorf(atoll.Unimplemented, "the management canister has no method %q", in.Method)
	}
	id, _ := managed(t)
	a := ln.actor(id)
	if id == "" || a == nil {
		return nil, atoll.Errorf(atoll.NotFound, "there is no canister %s on subnet %d", id, ln.x.m.cfg.Subnet)
	}
	if in.Method == MethodDeposit {
		a.c.Cycles += in.Cycles
		return nil, nil
	}
	if !own && !slices.Contains(a.c.Controllers, in.Caller) {
		return nil, atoll.Errorf(atoll.PermissionDenied, "%s is no controller of canister %s", in.Caller, id)
	}
	if in.Cycles != 0 {
		return nil, atoll.Errorf(atoll.Invalid, "%s takes no cycles", in.Method)
	}
	switch in.Method {
	case MethodStatus:
		return wire.Marshal(a.c.info()), nil
	case MethodSettings:
		return nil, a.configure(in.Payload)
	}
	return ln.snapshot(t, a, in)
}

// configure replaces the canister's controllers.
func (a *actor) configure(payload []byte) error {
	var r SettingsRequest
	if err := wire.Unmarshal(payload, &r); err != nil {
		return err
	}
	if err := checkControllers(r.Controllers); err != nil {
		return err
	}
	a.c.Controllers = r.Controllers
	return nil
}

func checkControllers(cs []atoll.Principal) error {
	if len(cs) > MaxControllers {
		return atoll.Errorf(atoll.Invalid, "%d controllers are over the limit of %d", len(cs), MaxControllers)
	}
	for _, c := range cs {
		if len(c) > atoll.MaxPrincipalLen {
			return atoll.Errorf(atoll.Invalid, "a controller of %d bytes is no principal", len(c))
		}
	}
	return nil
}

// create makes a canister with the cycles that came with the request.
func (ln *lane) create(t *turn, in atoll.Input, r CreateRequest) ([]byte, error) {
	if t.letter == nil {
		return nil, atoll.Errorf(atoll.PermissionDenied, "canisters are created by canisters")
	}
	if err := checkControllers(r.Controllers); err != nil {
		return nil, err
	}
	if in.Cycles < costCanister {
		return nil, atoll.Errorf(atoll.ResourceExhausted, "creating a canister takes %d cycles; %d came with the request", costCanister, in.Cycles)
	}
	controllers := r.Controllers
	if len(controllers) == 0 {
		controllers = []atoll.Principal{in.Caller}
	}
	c, err := ln.newCanister(t, r.Program, in.Cycles-costCanister, controllers)
	if err != nil {
		return nil, err
	}
	t.burned += costCanister
	return wire.Marshal(CreateReply{Canister: c.id}), nil
}

func (ln *lane) newCanister(t *turn, program string, cycles uint64, controllers []atoll.Principal) (*canister, error) {
	entry, ok := ln.x.m.cfg.Programs[program]
	if !ok {
		return nil, atoll.Errorf(atoll.NotFound, "there is no program %q", program)
	}
	// Only the lane of the management canister comes here, so the head's
	// counter is its own.
	if ln.x.head.Canisters >= MaxCanisters {
		return nil, atoll.Errorf(atoll.ResourceExhausted, "subnet %d carries %d canisters already", ln.x.m.cfg.Subnet, ln.x.head.Canisters)
	}
	ln.x.head.Canisters++
	c := &canister{
		id:      atoll.NewCanisterID(ln.x.m.cfg.Subnet, ln.x.head.Canisters),
		Program: program, Controllers: controllers, Cycles: cycles, Created: t.now, Billed: t.now, entry: entry,
	}
	ln.add(c)
	return c, nil
}

// govern executes what only the node itself may ask for.
func (ln *lane) govern(t *turn, in atoll.Input) error {
	head := &ln.x.head
	switch in.Method {
	case MethodGenesis:
		var g Genesis
		if err := wire.Unmarshal(in.Payload, &g); err != nil {
			return err
		}
		if ln.x.b.Height != 1 || head.Canisters != 0 {
			return atoll.Errorf(atoll.FailedPrecondition, "genesis is in the first block")
		}
		for _, gc := range g.Canisters {
			if _, err := ln.newCanister(t, gc.Program, gc.Cycles, nil); err != nil {
				return err
			}
			head.Minted += gc.Cycles
		}
	case MethodMint:
		var r MintRequest
		if err := wire.Unmarshal(in.Payload, &r); err != nil {
			return err
		}
		a := ln.actor(r.Canister)
		if a == nil || r.Canister == atoll.Management {
			return atoll.Errorf(atoll.NotFound, "there is no canister %s on subnet %d", r.Canister, ln.x.m.cfg.Subnet)
		}
		if a.c.Cycles+r.Cycles < a.c.Cycles || head.Minted+r.Cycles < head.Minted {
			return atoll.Errorf(atoll.Invalid, "minting %d cycles overflows", r.Cycles)
		}
		a.c.Cycles += r.Cycles
		head.Minted += r.Cycles
	case MethodActivate:
		var r ActivateRequest
		if err := wire.Unmarshal(in.Payload, &r); err != nil {
			return err
		}
		if r.Version < head.Supports[0] || r.Version > head.Supports[1] {
			return atoll.Errorf(atoll.FailedPrecondition, "semantics version %d is not supported by every replica; %d to %d are", r.Version, head.Supports[0], head.Supports[1])
		}
		head.Semantics = r.Version
	}
	return nil
}
