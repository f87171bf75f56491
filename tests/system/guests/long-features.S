# What CR4, model-specific registers and CPUID switch on: SMEP, SMAP, UMIP, FSGSBASE, XSAVE, alignment checks.
.include "long.inc"

.set AC, 0x40000
.set OSXSAVE, 0x40000
.set SMEP, 0x100000
.set SMAP, 0x200000
.set UMIP, 0x800
.set TSD, 4
.set FSGSBASE, 0x10000
.set PAGE0, TEST_PAGES
.set FRAME0, TEST_FRAMES
.set AREA, SCRATCH+0x400

.macro SET_CR0 bits
    movq %cr0, %rax
    orq $\bits, %rax
    movq %rax, %cr0
.endm
.macro CLEAR_CR0 bits
    movq %cr0, %rax
    andq $~(\bits), %rax
    movq %rax, %cr0
.endm

main:
    TEST "SMEP"
    SET_CR4 SMEP
    movl $only_return+USER, %ebx
    EXPECT_RESUME 1f
    call *%rbx
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $0x11
    CHECK fault_rip, $only_return+USER
    CLEAR_CR4 SMEP
    PASS call *%rbx
    TEST "SMAP"
    SET_CR4 SMAP
    movq $FRAME0+7, PT_TEST
    invlpg PAGE0
    FAULT 14, 1, movl PAGE0, %eax
    FAULT 14, 3, movl %eax, PAGE0
    stac
    PASS movl PAGE0, %eax
    clac
    FAULT 14, 1, movl PAGE0, %eax
    # AC by POPF does the same.
    pushq $AC|2
    popfq
    PASS movl %eax, PAGE0
    pushq $2
    popfq
    FAULT 14, 3, movl %eax, PAGE0
    USER_RUN user_read
    CHECKL fault_vector, $0x40
    TEST "SMAP leaves fetches alone"
    PASS call *%rbx
    CLEAR_CR4 SMAP
    USER_FAULT 6, NO_ERROR, user_stac, user_stac

    TEST "UMIP"
    SET_CR4 UMIP
    USER_FAULT 13, 0, user_sgdt, user_sgdt
    USER_FAULT 13, 0, user_sidt, user_sidt
    USER_FAULT 13, 0, user_sldt, user_sldt
    USER_FAULT 13, 0, user_str, user_str
    USER_FAULT 13, 0, user_smsw, user_smsw
    PASS sgdt AREA
    CLEAR_CR4 UMIP
    USER_RUN user_sgdt
    CHECKL fault_vector, $0x40

    TEST "TSD"
    USER_RUN user_rdtsc
    CHECKL fault_vector, $0x40
    SET_CR4 TSD
    USER_FAULT 13, 0, user_rdtsc, user_rdtsc
    USER_FAULT 13, 0, user_rdtscp, user_rdtscp
    PASS rdtsc
    CLEAR_CR4 TSD
    TEST "RDTSCP and RDPID"
    WRITE_MSR 0xc0000103, 0x12345
    rdtscp
    CHECKL %ecx, $0x12345
    PASS rdpid %rax
    CHECK %rax, $0x12345
    rdtsc
    movl %eax, %ebx
    movl %edx, %ebp
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    shlq $32, %rbp
    orq %rbp, %rbx
    cmpq %rbx, %rax
    seta %cl
    movzbl %cl, %ecx
    CHECKL %ecx, $1

    TEST "FSGSBASE"
    FAULT 6, NO_ERROR, rdfsbase %rax
    FAULT 6, NO_ERROR, wrgsbase %rax
    SET_CR4 FSGSBASE
    movabsq $0xffff800012345678, %rax
    wrfsbase %rax
    rdfsbase %rbx
    CHECK %rbx, %rax
    rdfsbase %ecx
    movl $0x12345678, %edx
    CHECK %rcx, %rdx
    wrgsbase %eax
    rdgsbase %rbx
    CHECK %rbx, %rdx
    movl $0xc0000101, %ecx
    rdmsr
    CHECKL %eax, $0x12345678
    movabsq $0x800000000000, %rax
    FAULT 13, 0, wrfsbase %rax
    movl $SCRATCH, %eax
    wrgsbase %rax
    movl $0x777, SCRATCH+16
    movl %gs:16, %ebx
    CHECKL %ebx, $0x777
    CLEAR_CR4 FSGSBASE

    TEST "XGETBV and XSETBV"
    xorl %ecx, %ecx
    FAULT 6, NO_ERROR, xgetbv
    FAULT 6, NO_ERROR, xsave AREA
    SET_CR4 OSXSAVE
    movl $1, %eax
    cpuid
    shrl $27, %ecx
    andl $1, %ecx
    CHECKL %ecx, $1
    xorl %ecx, %ecx
    xgetbv
    CHECKL %eax, $1
    CHECKL %edx, $0
    movl $3, %eax
    xsetbv
    xgetbv
    CHECKL %eax, $3
    movl $2, %eax
    FAULT 13, 0, xsetbv
    movl $3, %eax
    movl $1, %ecx
    FAULT 13, 0, xsetbv
    xorl %ecx, %ecx
    movl $0x80000000, %edx
    FAULT 13, 0, xsetbv
    xorl %edx, %edx
    USER_FAULT 13, 0, user_xsetbv, user_xsetbv
    TEST "XSAVE and XRSTOR"
    movl $AREA, %edi
    movl $576, %ecx
    movb $0xff, %al
    rep stosb
    movq $0, AREA+512
    movq $0, AREA+520
    movq $0, AREA+528
    movl $0x5a5a, %eax
    movq %rax, %xmm1
    movq %rax, %xmm9
    fninit
    fldpi
    movl $3, %eax
    xorl %edx, %edx
    xsave64 AREA
    CHECK AREA+512, $3
    CHECK AREA+520, $0
    CHECK AREA+176, $0x5a5a
    CHECK AREA+304, $0x5a5a
    # XSAVE leaves the rest of the header.
    CHECK AREA+536, $-1
    movq $0, AREA+536
    pxor %xmm1, %xmm1
    pxor %xmm9, %xmm9
    fninit
    movl $3, %eax
    xrstor64 AREA
    movq %xmm9, %rbx
    CHECK %rbx, $0x5a5a
    fstpl SCRATCH
    movabsq $0x400921fb54442d18, %rbx
    CHECK SCRATCH, %rbx
    TEST "a mask of states"
    movl $0x1111, %eax
    movq %rax, %xmm1
    movl $1, %eax
    xsave AREA
    CHECK AREA+176, $0x5a5a
    movl $2, %eax
    xsave AREA
    CHECK AREA+176, $0x1111
    TEST "states that are not in the area are as after reset"
    movq $0, AREA+512
    movl $2, %eax
    xrstor AREA
    movq %xmm1, %rbx
    CHECK %rbx, $0
    movq %xmm15, %rbx
    CHECK %rbx, $0
    TEST "XRSTOR's faults"
    movl $3, %eax
    FAULT 13, 0, xrstor AREA+8
    FAULT 13, 0, xsave AREA+32
    movq $4, AREA+512
    FAULT 13, 0, xrstor AREA
    movq $0, AREA+520
    FAULT 13, 0, xrstor AREA
    movq $2, AREA+512
    movq $1, AREA+528
    FAULT 13, 0, xrstor AREA
    movq $0, AREA+528
    movl $0x10000, AREA+24
    FAULT 13, 0, xrstor AREA
    movl $0x1f80, AREA+24
    PASS xrstor AREA
    SET_CR0 8
    FAULT 7, NO_ERROR, xsave AREA
    FAULT 7, NO_ERROR, xrstor AREA
    FAULT 7, NO_ERROR, fninit
    FAULT 7, NO_ERROR, movaps %xmm0, %xmm1
    clts
    PASS movaps %xmm0, %xmm1
    CLEAR_CR4 OSXSAVE
    TEST "SSE needs CR4.OSFXSR"
    CLEAR_CR4 0x200
    FAULT 6, NO_ERROR, movaps %xmm0, %xmm1
    SET_CR4 0x200
    TEST "CR0.EM"
    SET_CR0 4
    FAULT 7, NO_ERROR, fninit
    FAULT 6, NO_ERROR, movaps %xmm0, %xmm1
    CLEAR_CR0 4
    TEST "WAIT under CR0.MP and TS"
    SET_CR0 10
    FAULT 7, NO_ERROR, fwait
    CLEAR_CR0 2
    PASS fwait
    FAULT 7, NO_ERROR, fninit
    CLEAR_CR0 8

    TEST "alignment checks"
    SET_CR0 0x40000
    movq $0x43002, user_flags
    USER_FAULT 17, 0, user_unaligned, user_unaligned
    USER_FAULT 17, 0, user_unaligned2, user_unaligned2
    USER_FAULT 17, 0, user_unaligned8, user_unaligned8
    USER_FAULT 17, 0, user_unaligned_write, user_unaligned_write
    USER_FAULT 17, 0, user_unaligned_push_start, user_unaligned_push
    USER_RUN user_aligned
    CHECKL fault_vector, $0x40
    TEST "not without AC, AM or privilege 3"
    movq $0x3002, user_flags
    USER_RUN user_unaligned
    CHECKL fault_vector, $0x40
    CLEAR_CR0 0x40000
    movq $0x43002, user_flags
    USER_RUN user_unaligned
    CHECKL fault_vector, $0x40
    SET_CR0 0x40000
    pushq $AC|2
    popfq
    PASS movl SCRATCH+1, %eax
    pushq $2
    popfq
    CLEAR_CR0 0x40000
    movq $0x3002, user_flags

    TEST "control registers that do not exist"
    FAULT 6, NO_ERROR, .byte 0x0f, 0x20, 0xc8
    FAULT 6, NO_ERROR, .byte 0x0f, 0x22, 0xe8
    TEST "LMSW sets PE but does not clear it"
    movl $0x0f, %eax
    smsw %ebx
    xorl %ecx, %ecx
    lmsw %cx
    smsw %edx
    andl $15, %edx
    CHECKL %edx, $1
    lmsw %bx
    TEST "EFER"
    movl $0xc0000080, %ecx
    rdmsr
    btrl $8, %eax
    FAULT 13, 0, wrmsr
    rdmsr
    btsl $9, %eax
    FAULT 13, 0, wrmsr
    TEST "model-specific registers that do not exist"
    movl $0x12340000, %ecx
    FAULT 13, 0, rdmsr
    FAULT 13, 0, wrmsr
    USER_FAULT 13, 0, user_rdmsr, user_rdmsr
    USER_FAULT 13, 0, user_wrmsr, user_wrmsr
    TEST "memory types"
    movl $0xfe, %ecx
    rdmsr
    andl $0x5ff, %eax
    CHECKL %eax, $0x508
    movl $0x277, %ecx
    rdmsr
    CHECKL %eax, $0x00070406
    movl $2, %eax
    xorl %edx, %edx
    FAULT 13, 0, wrmsr
    movl $0x2ff, %ecx
    movl $0xc06, %eax
    PASS wrmsr
    rdmsr
    CHECKL %eax, $0xc06
    movl $0xc03, %eax
    FAULT 13, 0, wrmsr
    movl $0x250, %ecx
    movl $0x06060602, %eax
    FAULT 13, 0, wrmsr
    TEST "privileged instructions"
    USER_FAULT 13, 0, user_hlt, user_hlt
    USER_FAULT 13, 0, user_lgdt, user_lgdt
    USER_FAULT 13, 0, user_lidt, user_lidt
    USER_FAULT 13, 0, user_lldt, user_lldt
    USER_FAULT 13, 0, user_ltr, user_ltr
    USER_FAULT 13, 0, user_cr, user_cr
    USER_FAULT 13, 0, user_to_cr, user_to_cr
    USER_FAULT 13, 0, user_invlpg, user_invlpg
    USER_FAULT 13, 0, user_wbinvd, user_wbinvd
    USER_FAULT 13, 0, user_clts, user_clts
    USER_FAULT 13, 0, user_lmsw, user_lmsw
    TEST "IOPL"
    movq $0x2, user_flags
    USER_FAULT 13, 0, user_cli, user_cli
    USER_FAULT 13, 0, user_sti, user_sti
    USER_FAULT 13, 0, user_in, user_in
    TEST "the task's map of ports"
    movw $0x68, TSS_AREA+0x66
    movb $0x89, GDT+TSS+5
    movw $0x80, GDT+TSS
    movl $TSS, %eax
    ltr %ax
    movl $0xffffffff, TSS_AREA+0x68
    movl $0xffffffff, TSS_AREA+0x6c
    movl $0xffffffff, TSS_AREA+0x70
    movl $0xffffffff, TSS_AREA+0x74
    movl $0xfffffffe, TSS_AREA+0x78
    USER_RUN user_in
    CHECKL fault_vector, $0x40
    USER_FAULT 13, 0, user_in2, user_in2
    movb $0xfc, TSS_AREA+0x78
    USER_RUN user_in2
    CHECKL fault_vector, $0x40
    movq $0x3002, user_flags
    TEST "XSAVEC"
    SET_CR4 OSXSAVE
    xorl %edx, %edx
    movl $AREA+536, %edi
    movl $5, %ecx
    xorl %eax, %eax
    rep stosq
    movl $0x7777, %eax
    movq %rax, %xmm2
    movl $2, %eax
    xsavec AREA
    movq AREA+520, %rbx
    movabsq $0x8000000000000002, %rcx
    CHECK %rbx, %rcx
    CHECK AREA+512, $2
    pxor %xmm2, %xmm2
    movl $3, %eax
    xrstor AREA
    movq %xmm2, %rbx
    CHECK %rbx, $0x7777
    THE_END

only_return:
    ret
user_read:
    movl PAGE0, %eax
    int $0x40
user_stac:
    stac
user_sgdt:
    sgdt AREA+USER
    int $0x40
user_sidt:
    sidt AREA+USER
user_sldt:
    sldt %eax
user_str:
    str %eax
user_smsw:
    smsw %eax
user_rdtsc:
    rdtsc
    int $0x40
user_rdtscp:
    rdtscp
user_xsetbv:
    xsetbv
user_rdmsr:
    rdmsr
user_wrmsr:
    wrmsr
user_unaligned:
    movl SCRATCH+USER+1, %eax
    int $0x40
user_unaligned2:
    movw SCRATCH+USER+3, %ax
user_unaligned8:
    movq SCRATCH+USER+4, %rax
user_unaligned_write:
    addl $1, SCRATCH+USER+2
user_unaligned_push_start:
    movq $USER_STACK_TOP+USER-1, %rsp
user_unaligned_push:
    pushq %rax
user_aligned:
    movb SCRATCH+USER+1, %al
    movw SCRATCH+USER+2, %ax
    movl SCRATCH+USER+4, %eax
    movq SCRATCH+USER+8, %rax
    int $0x40
user_hlt:
    hlt
user_lgdt:
    lgdt AREA+USER
user_lidt:
    lidt AREA+USER
user_lldt:
    lldt %ax
user_ltr:
    ltr %ax
user_cr:
    movq %cr3, %rax
user_to_cr:
    movq %rax, %cr2
user_invlpg:
    invlpg AREA+USER
user_wbinvd:
    wbinvd
user_clts:
    clts
user_lmsw:
    lmsw %ax
user_cli:
    cli
user_sti:
    sti
user_in:
    inb $0x80, %al
    int $0x40
user_in2:
    inw $0x80, %ax
    int $0x40
