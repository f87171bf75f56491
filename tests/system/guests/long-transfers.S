# Far transfers, returns and fast system calls in long mode (SDM vol. 2, "CALL", "RET", "IRET", "SYSCALL", "SYSENTER").
.include "long.inc"

.set CODE_ABSENT, EXTRA
.set CODE_CONFORMING, EXTRA+8
.set CODE_BOTH, EXTRA+0x10      # L and D set
.set GATE_INNER, EXTRA+0x20     # call gates of 16 bytes
.set GATE_USER, EXTRA+0x30
.set GATE_ABSENT, EXTRA+0x40
.set GATE_CODE32, EXTRA+0x50
.set GATE_HIGH, EXTRA+0x60
.set EFER, 0xc0000080
.set STAR, 0xc0000081
.set LSTAR, 0xc0000082
.set FMASK, 0xc0000084

.macro CALL_GATE selector, code, target, access, high=0
    movl $\target, %eax
    movw %ax, GDT+\selector
    movw $\code, GDT+\selector+2
    movb $0, GDT+\selector+4
    movb $\access, GDT+\selector+5
    shrl $16, %eax
    movw %ax, GDT+\selector+6
    movl $\high, GDT+\selector+8
    movl $0, GDT+\selector+12
.endm

.macro PUSH_FRAME ss, rsp, flags, cs, rip
    pushq \ss
    pushq \rsp
    pushq \flags
    pushq \cs
    pushq \rip
.endm

main:
    movabsq $0x00af1b000000ffff, %rax
    movq %rax, GDT+CODE_ABSENT
    movabsq $0x00af9f000000ffff, %rax
    movq %rax, GDT+CODE_CONFORMING
    movabsq $0x00ef9b000000ffff, %rax
    movq %rax, GDT+CODE_BOTH
    CALL_GATE GATE_INNER, CODE64, gate_target, 0x8c
    CALL_GATE GATE_USER, CODE64, gate_target, 0xec
    CALL_GATE GATE_ABSENT, CODE64, gate_target, 0x6c
    CALL_GATE GATE_CODE32, CODE32, gate_target, 0xec
    CALL_GATE GATE_HIGH, CODE64, gate_target, 0xec, 0x8000

    TEST "IRETQ pops the stack pointer"
    movq %rsp, %rbx
    PUSH_FRAME $DATA, $STACK_TOP-0x800, $0x402, $CODE64, $1f
    iretq
1:  movq %rsp, %rcx
    movq %rbx, %rsp
    pushfq
    popq %rdx
    cld
    CHECK %rcx, $STACK_TOP-0x800
    CHECK %rdx, $0x402
    TEST "IRETQ with a null SS at privilege 0"
    movq %rsp, %rbx
    PUSH_FRAME $0, %rbx, $2, $CODE64, $1f
    iretq
1:  movl $5, %eax
    movw %ss, %ax
    CHECKL %eax, $0
    TEST "IRETQ between null SS and null SS"
    PUSH_FRAME $0, $STACK_TOP-0x800, $0x402, $CODE64, $1f
    iretq
1:  movq %rsp, %rcx
    movq %rbx, %rsp
    pushfq
    popq %rdx
    cld
    movl $5, %eax
    movw %ss, %ax
    CHECKL %eax, $0
    CHECK %rcx, $STACK_TOP-0x800
    CHECK %rdx, $0x402
    movl $DATA, %eax
    movw %ax, %ss
    movq %rbx, %rsp
    TEST "IRETQ's faults"
    movq %rsp, %rbx
    PUSH_FRAME $DATA, %rbx, $2, $0, $wrong
    FAULT 13, 0, iretq
    movq $DATA, 8(%rsp)
    FAULT 13, DATA, iretq
    movq $CODE_ABSENT, 8(%rsp)
    FAULT 11, CODE_ABSENT, iretq
    movq $CODE_BOTH, 8(%rsp)
    FAULT 13, CODE_BOTH, iretq
    movq $0x1f0, 8(%rsp)
    FAULT 13, 0x1f0, iretq
    movq $CODE64+3, 8(%rsp)
    FAULT 13, CODE64, iretq
    movq $CODE64, 8(%rsp)
    movq $CODE64, 32(%rsp)
    FAULT 13, CODE64, iretq
    movq $USER_DATA, 32(%rsp)
    FAULT 13, USER_DATA-3, iretq
    # A null SS is for 64-bit code below privilege 3.
    movq $USER_CODE64, 8(%rsp)
    movq $0, 32(%rsp)
    FAULT 13, 0, iretq
    movq $3, 32(%rsp)
    FAULT 13, 0, iretq
    movq $CODE64, 8(%rsp)
    movq $DATA, 32(%rsp)
    movabsq $0x800000000000, %rax
    movq %rax, (%rsp)
    FAULT 13, 0, iretq
    movq %rsp, %rax
    CHECK fault_rsp, %rax
    movq %rbx, %rsp
    TEST "IRETQ with NT"
    PUSH_FRAME $DATA, %rbx, $2, $CODE64, $wrong
    pushq $0x4002
    popfq
    FAULT 13, 0, iretq
    pushq $2
    popfq
    movq %rbx, %rsp
    TEST "IRETD to compatibility mode"
    # Privilege 3, 32-bit code.
    movq $USER_CODE32, user_cs
    USER_RUN compatibility
    CHECKL fault_vector, $0x40
    CHECK fault_cs, $USER_CODE32
    CHECK fault_rsp, $USER_STACK_TOP+USER-4
    CHECKL note+8+USER, $0x12345678
    TEST "compatibility mode has no REX"
    # 40 is INC EAX there.
    CHECKL note+16, $1
    TEST "SYSCALL is undefined in compatibility mode"
    WRITE_MSR EFER, 0xd01
    WRITE_MSR 0xc0000083, wrong
    USER_FAULT 6, NO_ERROR, user_syscall, user_syscall
    movq $USER_CODE64, user_cs
    TEST "IRETQ at privilege 3 keeps IF and IOPL"
    movq $0x202, user_flags
    USER_RUN user_iret
    CHECKL fault_vector, $0x40
    movq fault_flags, %rax
    CHECKL %eax, $0x202
    movq $0x3002, user_flags

    TEST "RET FAR"
    movq %rsp, %rbx
    pushq $CODE64
    pushq $1f
    lretq
1:  movq %rsp, %rdx
    CHECK %rdx, %rbx
    pushq $0
    pushq $CODE64
    pushq $1f
    lretq $8
1:  movq %rsp, %rdx
    CHECK %rdx, %rbx
    TEST "RET FAR to user code"
    pushq $USER_DATA
    pushq $USER_STACK_TOP+USER
    pushq $USER_CODE64
    pushq $user_int+USER
    EXPECT_RESUME 1f
    lretq
1:  CHECKL fault_vector, $0x40
    CHECK fault_cs, $USER_CODE64
    CHECK fault_rsp, $USER_STACK_TOP+USER
    CHECK fault_ss, $USER_DATA
    movq %rbx, %rsp
    TEST "RET FAR's faults"
    pushq $USER_DATA
    pushq $0
    pushq $0
    pushq $wrong
    FAULT 13, 0, lretq
    movq $DATA, 8(%rsp)
    FAULT 13, DATA, lretq
    movq $USER_CODE64, 8(%rsp)
    movq $DATA, 24(%rsp)
    FAULT 13, DATA, lretq
    movq $0, 24(%rsp)
    FAULT 13, 0, lretq
    movq $CODE64, 8(%rsp)
    movabsq $0x800000000000, %rax
    movq %rax, (%rsp)
    FAULT 13, 0, lretq
    movq %rbx, %rsp

    TEST "far CALL and JMP"
    movl $1f, pointer
    movw $CODE64, pointer+4
    ljmpl *pointer
1:  movl $far_target, pointer
    lcalll *pointer
    CHECK %rax, $0x77
    movw $CODE_CONFORMING, pointer+4
    lcalll *pointer
    TEST "their faults"
    movw $0, pointer+4
    FAULT 13, 0, ljmpl *pointer
    movw $DATA, pointer+4
    FAULT 13, DATA, lcalll *pointer
    movw $CODE_ABSENT, pointer+4
    FAULT 11, CODE_ABSENT, ljmpl *pointer
    movw $CODE_BOTH, pointer+4
    FAULT 13, CODE_BOTH, ljmpl *pointer
    movw $USER_CODE64, pointer+4
    FAULT 13, USER_CODE64-3, ljmpl *pointer
    movw $TSS, pointer+4
    FAULT 13, TSS, ljmpl *pointer
    FAULT 13, TSS, lcalll *pointer

    TEST "call gate without a change of privilege"
    movw $GATE_INNER, pointer+4
    movq %rsp, %rbx
    lcalll *pointer
    CHECKL %eax, $0x88
    movq %rsp, %rdx
    CHECK %rdx, %rbx
    subq $16, %rbx
    CHECK %rcx, %rbx
    movl $1f, pointer2
    ljmpl *gate_pointer
1:
    TEST "call gate from user code"
    USER_RUN user_gate
    CHECKL fault_vector, $0x40
    CHECK fault_cs, $USER_CODE64
    # The gate's stack is the task's for privilege 0: SS, RSP, CS, RIP.
    CHECK note+24, $STACK_TOP-0x400-32
    CHECK note+32, $0
    CHECK note+40, $USER_DATA
    CHECK note+48, $USER_STACK_TOP+USER
    CHECK note+56, $USER_CODE64
    TEST "gates' faults"
    movw $GATE_ABSENT, pointer+4
    FAULT 11, GATE_ABSENT, lcalll *pointer
    movw $GATE_CODE32, pointer+4
    FAULT 13, CODE32, lcalll *pointer
    movw $GATE_HIGH, pointer+4
    FAULT 13, 0, lcalll *pointer
    USER_FAULT 13, GATE_INNER, user_inner_gate, user_inner_gate

    TEST "SYSCALL and SYSRET"
    WRITE_MSR STAR, 0, 0x230008
    WRITE_MSR LSTAR, syscall_entry
    WRITE_MSR FMASK, 0x600
    movq $0x3602, user_flags
    USER_RUN user_syscall
    CHECKL fault_vector, $0x40
    CHECK fault_cs, $USER_CODE64
    CHECK fault_ss, $USER_DATA
    CHECK fault_rsp, $USER_STACK_TOP+USER
    CHECK note+24, $user_syscall+2+USER
    CHECK note+32, $0x3602
    CHECK note+40, $CODE64
    CHECK note+48, $DATA
    CHECK note+56, $0x3002
    CHECK note+64, $USER_STACK_TOP+USER
    movq fault_flags, %rax
    andl $~RF_BIT, %eax
    CHECKL %eax, $0x3602
    movq $0x3002, user_flags
    .set RF_BIT, 0x10000
    TEST "SYSRET to compatibility mode"
    movl $compatibility+USER, %ecx
    movl $0x3002, %r11d
    EXPECT_RESUME 1f
    movq $USER_STACK_TOP+USER, %rsp
    sysretl
1:  CHECKL fault_vector, $0x40
    CHECK fault_cs, $USER_CODE32
    TEST "SYSRET's faults"
    movabsq $0x800000000000, %rcx
    FAULT 13, 0, sysretq
    CHECK fault_cs, $CODE64
    USER_FAULT 13, 0, user_sysret, user_sysret
    WRITE_MSR EFER, 0xd00
    FAULT 6, NO_ERROR, syscall
    FAULT 6, NO_ERROR, sysretq
    WRITE_MSR EFER, 0xd01

    TEST "SYSENTER and SYSEXIT"
    USER_FAULT 13, 0, user_sysenter, user_sysenter
    FAULT 13, 0, sysexitq
    # CS 0x18+0x20 must be code: the descriptors are not read.
    WRITE_MSR 0x174, 0x103
    WRITE_MSR 0x175, INNER_STACK_TOP
    WRITE_MSR 0x176, sysenter_entry
    movq $0x3202, user_flags
    USER_RUN user_sysenter
    CHECKL fault_vector, $6
    CHECK fault_rip, $sysexit_target+USER
    CHECK fault_cs, $0x123
    CHECK fault_ss, $0x12b
    CHECK fault_rsp, $USER_STACK_TOP+USER
    CHECK note+24, $0x100
    CHECK note+32, $0x108
    CHECK note+40, $INNER_STACK_TOP
    CHECK note+48, $0x3002
    movq $0x3002, user_flags
    movabsq $0x800000000000, %rdx
    FAULT 13, 0, sysexitq
    USER_FAULT 13, 0, user_sysexit, user_sysexit
    WRITE_MSR 0x174, 0

    TEST "SWAPGS"
    WRITE_MSR 0xc0000101, 0x1111
    WRITE_MSR 0xc0000102, 0x2222
    swapgs
    movl $0xc0000101, %ecx
    rdmsr
    CHECKL %eax, $0x2222
    movl $0xc0000102, %ecx
    rdmsr
    CHECKL %eax, $0x1111
    USER_FAULT 13, 0, user_swapgs, user_swapgs
    TEST "FS and GS add their base"
    WRITE_MSR 0xc0000100, SCRATCH
    movl $0x5151, SCRATCH+8
    movl $8, %ebx
    movl %fs:(%rbx), %eax
    CHECKL %eax, $0x5151
    # Other segments have no base.
    movl $0x5252, SCRATCH+8
    movl $SCRATCH+8, %ebx
    movl %es:(%rbx), %eax
    CHECKL %eax, $0x5252
    movabsq $0x800000000000, %rbx
    TEST "a base that is not canonical"
    movl $0xc0000100, %ecx
    xorl %eax, %eax
    movl $0x8000, %edx
    FAULT 13, 0, wrmsr
    TEST "loading FS takes its base from the descriptor"
    movl $DATA, %eax
    movw %ax, %fs
    movl $0xc0000100, %ecx
    rdmsr
    CHECKL %eax, $0
    THE_END

gate_target:
    movl $0x88, %eax
    movq %rsp, %rcx
    movq %rsp, note+24
    movw %ss, note+32
    movq 24(%rsp), %rdx
    movq %rdx, note+40
    movq 16(%rsp), %rdx
    movq %rdx, note+48
    movq 8(%rsp), %rdx
    movq %rdx, note+56
    lretq
wrong:
    ud2
far_target:
    movl $0x77, %eax
    lretl
syscall_entry:
    movq %rcx, note+24
    movq %r11, note+32
    movq $0, note+40
    movw %cs, note+40
    movq $0, note+48
    movw %ss, note+48
    movq %rsp, note+64
    movq $STACK_TOP-0x200, %rsp
    pushfq
    popq note+56
    movq note+64, %rsp
    sysretq
sysenter_entry:
    movq $0, note+24
    movw %cs, note+24
    movq $0, note+32
    movw %ss, note+32
    movq %rsp, note+40
    pushfq
    popq note+48
    movl $sysexit_target+USER, %edx
    movl $USER_STACK_TOP+USER, %ecx
    sysexitq
sysexit_target:
    ud2

pointer:
    .long 0
    .word 0
gate_pointer:
pointer2:
    .long 0
    .word CODE64

user_iret:
    movw %ss, %ax
    movq %rsp, %rbx
    pushq %rax
    pushq %rbx
    pushq $0x3002
    pushq $USER_CODE64
    leaq 1f(%rip), %rax
    pushq %rax
    iretq
1:  int $0x40
user_int:
    int $0x40
user_syscall:
    syscall
    int $0x40
user_sysret:
    sysretq
user_sysenter:
    sysenter
user_sysexit:
    sysexitq
user_swapgs:
    swapgs
user_gate:
    lcalll *gate_user+USER
    int $0x40
user_inner_gate:
    lcalll *gate_inner+USER
gate_user:
    .long 0
    .word GATE_USER+3
gate_inner:
    .long 0
    .word GATE_INNER+3

    .code32
compatibility:
    movl $USER_DATA, %ecx
    movw %cx, %ds
    xorl %eax, %eax
    .byte 0x40
    movl %eax, note+16+USER
    movl $0x12345678, %ebx
    movl %ebx, note+8+USER
    pushl %eax
    int $0x40
